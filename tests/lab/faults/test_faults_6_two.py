"""Two operators at once."""

from lab_end import expect_serves


def test_two_updates_at_once(fleet, tell, tell_load):
    old, one, two = fleet.now, fleet.other(), "C"
    with (
        fleet.load(old, one, two) as load,
        fleet.start(one) as first,
        fleet.start(two) as second,
    ):
        ended = {one: first.done(), two: second.done()}
    tell_load(load)
    (new,) = [letter for letter, play in ended.items() if play.status == 0]
    (lost,) = [play for play in ended.values() if play.status != 0]
    tell(f"{new} won; the other was refused after {lost.seconds:.1f} s")
    (generation,) = fleet.corpora.ids(new)
    lost.failed("has held the lock since", f"update to {generation}")
    expect_serves(fleet.corpora, new, old)

"""No fault: to and fro, and again."""

from lab_end import expect_serves

ROLLBACK_SECONDS = 45.0  # the aim is 15, of which 3 for the flip; figures are printed
FLIP_SECONDS = 10.0


def test_update(fleet, tell_load):
    fleet.serve("A")
    with fleet.load("A", "B") as load:
        done = fleet.update("B").succeeded()
    tell_load(load)
    assert set(load.served) == set(fleet.corpora.ids("A", "B"))
    expect_serves(fleet.corpora, "B", "A")
    fleet.tasks = done.output.count("\nTASK [")


def test_rollback(fleet, tell, tell_load):
    back, now = fleet.corpora.ids("A", "B")
    with fleet.load("A", "B") as load:
        done = fleet.rollback().succeeded()
    tell(f"rollback {done.seconds:.1f} s, flip {load.flip(now, back):.2f} s")
    tell_load(load)
    assert done.seconds < ROLLBACK_SECONDS
    assert load.flip(now, back) < FLIP_SECONDS
    expect_serves(fleet.corpora, "B", "A", gateways="A")


def test_update_again_after_rollback(fleet, tell_load):
    with fleet.load("A", "B") as load:
        fleet.update("B").succeeded()
    tell_load(load)
    expect_serves(fleet.corpora, "B", "A")


def test_update_with_nothing_to_do(fleet, tell_load):
    before = fleet.picture()
    with fleet.load("B") as load:
        done = fleet.update("B").changed_nothing()
    tell_load(load)
    assert done.sent == 0
    assert fleet.picture() == before

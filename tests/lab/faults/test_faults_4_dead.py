"""A shard host dies; what the rest serves, and what the host does when it is back."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fault_end import Picture, expect_serves
from fault_hosts import kill_host, revive
from fault_inject import Trigger, link_names
from lab_load import Load
from lab_plays import Play

# It has been switched third of four. When it dies: as soon as the first link of this host names
# the new generation.
HOST = "shard-c"
BEFORE, DURING, AFTER = "shard-a", "shard-c", "shard-d"
ALLOWED = "allow_lost_hosts=1"


@pytest.mark.parametrize("when", [BEFORE, AFTER], ids=["before its turn", "after its turn"])
def test_host_dies(fleet, tell, tell_load, when):
    """Nothing is changed; without the host only who says so may change anything."""
    old, new = fleet.now, fleet.other()
    before = fleet.picture()
    with _back_in_the_end():
        with fleet.load(old) as load:
            failed = _dies(fleet, when, new)
        tell_load(load)
        failed.failed(HOST)
        expect_is(fleet, before)
        if when == BEFORE:
            with fleet.load(old, new) as load:
                fleet.update(new, ALLOWED).succeeded()
            tell(f"allowed: {load}, {load.seconds:.1f} s")
            load.check()
            expect_serves(fleet.corpora, new, old, without=[HOST])
    _converges(fleet, tell, old, new)


def test_host_that_may_be_lost_dies(fleet, tell, tell_load):
    """While it is being switched."""
    old, new = fleet.now, fleet.other()
    with _back_in_the_end():
        with fleet.load(old, new) as load:
            done = _dies(fleet, DURING, new, ALLOWED)
        tell_load(load)
        done.succeeded()
        expect_serves(fleet.corpora, new, old, without=[HOST])
    _converges(fleet, tell, old, new)


def _dies(fleet, when: str, new: str, *more: str) -> Play:
    """Update, and kill the host meanwhile."""
    (generation,) = fleet.corpora.ids(new)
    with (
        fleet.start(new, *more) as running,
        Trigger(link_names(when, generation), lambda: kill_host(HOST)) as fault,
    ):
        ended = running.done()
    assert fault.fired
    return ended


def expect_is(fleet, before: Picture) -> None:
    """Whoever is left links and serves what it did."""
    assert fleet.picture(HOST) == before.but(HOST)


@contextmanager
def _back_in_the_end() -> Iterator[None]:
    try:
        yield
    finally:
        revive()


def _converges(fleet, tell, old: str, new: str) -> None:
    """The same again, now that it is back, brings everybody there."""
    load: Load
    with fleet.load(old, new) as load:
        fleet.update(new).succeeded()
    tell(f"back: {load}, {load.seconds:.1f} s")
    load.check()
    expect_serves(fleet.corpora, new, old)

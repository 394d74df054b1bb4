"""A shard host dies; what the rest serves, and what the host does when it is back."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fault_inject import Condition, Trigger, link_names
from lab_breaks import kill_host, revive
from lab_end import expect_serves, expect_unchanged
from lab_plays import Play, Running

HOST = "shard-c"  # the third of four to be switched
FIRST = "shard-a"  # the first; it shares no shard with that
FELLOW = "shard-b"  # the second; the other replica of shard 2
SWITCHED = "Make sure that everybody has what the gateways are about to ask for"
ALLOWED = "allow_lost_hosts=1"


def test_host_dies_before_its_turn(fleet, tell, tell_load):
    """Nothing is changed; without the host only who says so may change anything."""
    old, new = fleet.now, fleet.other()
    before, (generation,) = fleet.picture(), fleet.corpora.ids(new)
    with _back_in_the_end():
        with fleet.load(old) as load, fleet.start(new) as running:
            failed = _dies(running, link_names(FIRST, generation))
        tell_load(load)
        failed.failed("shard-b: activating shard: no other replica of shard-2 answers any more")
        assert fleet.picture(HOST) == before.but(HOST)
        with fleet.load(old, new) as load:
            fleet.update(new, ALLOWED).succeeded()
        tell(f"allowed: {load}, {load.seconds:.1f} s")
        load.check()
        expect_serves(fleet.corpora, new, old, without=[HOST])
    _converges(fleet, tell, old, new)


@pytest.mark.parametrize("switched", [FELLOW, HOST], ids=["its fellow restarts", "it restarts"])
def test_host_dies_while(fleet, tell, tell_load, switched):
    """Those before it go back; who needs a shard of both waits for the fellow that restarts."""
    old, new = fleet.now, fleet.other()
    before, (generation,) = fleet.picture(), fleet.corpora.ids(new)
    with _back_in_the_end():
        with fleet.load(old) as load, fleet.start(new) as running:
            failed = _dies(running, link_names(switched, generation))
        tell_load(load)
        failed.failed(f"{HOST}: activating shard: it does not answer (ssh)")
        assert fleet.picture(HOST) == before.but(HOST)
    if switched == FELLOW:
        expect_unchanged(before)  # it was not touched, and is back with what it had
    else:
        _converges(fleet, tell, old, new)


@pytest.mark.long
def test_host_dies_after_its_turn(fleet, tell, tell_load):
    """All shards have been switched, and go back."""
    old, new = fleet.now, fleet.other()
    before = fleet.picture()
    with _back_in_the_end():
        with fleet.load(old) as load, fleet.start(new) as running:
            failed = _dies(running, lambda: f") {SWITCHED}" in running.output)
        tell_load(load)
        failed.failed(
            f"{HOST}: confirming what it serves: it does not answer (ssh)",
            f"{HOST}: putting shard back: it does not answer (ssh)",
        )
        assert fleet.picture(HOST) == before.but(HOST)
    _converges(fleet, tell, old, new)


@pytest.mark.long
def test_host_that_may_be_lost_dies(fleet, tell, tell_load):
    """While it is being switched."""
    old, new = fleet.now, fleet.other()
    (generation,) = fleet.corpora.ids(new)
    with _back_in_the_end():
        with fleet.load(old, new) as load, fleet.start(new, ALLOWED) as running:
            done = _dies(running, link_names(HOST, generation))
        tell_load(load)
        done.succeeded()
        expect_serves(fleet.corpora, new, old, without=[HOST])
    _converges(fleet, tell, old, new)


def _dies(running: Running, when: Condition) -> Play:
    """The end of a play in which the host was killed."""
    with Trigger(when, lambda: kill_host(HOST)) as fault:
        ended = running.done()
    assert fault.fired
    return ended


@contextmanager
def _back_in_the_end() -> Iterator[None]:
    try:
        yield
    finally:
        revive()


def _converges(fleet, tell, old: str, new: str) -> None:
    """The same again, now that it is back, brings everybody there."""
    with fleet.load(old, new) as load:
        fleet.update(new).succeeded()
    tell(f"back: {load}, {load.seconds:.1f} s")
    load.check()
    expect_serves(fleet.corpora, new, old)

"""A shard host dies; what the rest serves, and what the host does when it is back."""

import pytest
from fault_end import expect_serves
from fault_hosts import kill_host, revive
from fault_inject import Trigger, link_names

# When it dies: as soon as the first link of this host names the new generation.
HOST = "shard-c"
WHEN = {"before": "shard-a", "during": "shard-c", "after": "shard-d"}
ALLOWED = "allow_lost_hosts=1"


@pytest.mark.parametrize("allowed", [False, True], ids=["not allowed", "allowed"])
@pytest.mark.parametrize("when", WHEN)
def test_host_dies(fleet, tell, tell_load, when, allowed):
    old, new = fleet.now, fleet.other()
    before, (generation,) = fleet.picture(), fleet.corpora.ids(new)
    letters = (old, new) if allowed else (old,)
    with fleet.load(*letters) as load, fleet.start(new, *[ALLOWED] * allowed) as running:
        dies = link_names(WHEN[when], generation)
        with Trigger(dies, lambda: kill_host(HOST)) as fault:
            ended = running.done()
    try:
        tell_load(load)
        assert fault.fired
        if allowed:
            ended.succeeded()
            expect_serves(fleet.corpora, new, old, without=[HOST])
        else:
            ended.failed(HOST)
            assert fleet.picture(HOST) == before.but(HOST)
    finally:
        revive()
    with fleet.load(old, new) as load:
        back = fleet.update(new).succeeded()
    tell(f"back: {load}, {back.seconds:.1f} s")
    load.check()
    expect_serves(fleet.corpora, new, old)

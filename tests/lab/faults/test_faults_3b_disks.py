"""Directories that cannot be written to: before a change, and from its middle on."""

import pytest
from fault_generations import nothing_wrong, resealed
from fault_inject import Trigger, link_names, turn_of
from lab_breaks import dangling_link, maskable, read_only_data, small_state
from lab_corpora import GENERATIONS, start_update_to
from lab_end import expect_serves, expect_unchanged
from lab_hosts import GATEWAYS, SHARDS, parts, root, run_on
from lab_load import Load
from lab_plays import Play, play

HOST, NEXT_TO_LAST, LAST = "shard-b", "shard-c", "shard-d"
MASKED = "askfleet-shard@3.service"
FULL = "/var/lib/askfleet cannot be written: No space left on device: make room there"
SAME = "all 8 hosts are where they were"


def summary(failed: Play) -> list[str]:
    """The lines that the play printed last."""
    _, found, text = failed.output.partition("\nSUMMARY ")
    lines = text.strip().splitlines()[1:]
    assert found, failed.output[-4000:]
    assert len(lines) <= 10, lines
    return lines


def refused(failed: Play, fault: str) -> None:
    """It names host, directory and fix in its summary, and has changed nothing."""
    failed.failed(fault, "No host has been touched.")
    lines = summary(failed)
    assert any(fault in line for line in lines), lines
    assert "state: no task of this run has changed a host" in lines
    changed = {host: counts["changed"] for host, counts in failed.recap.items()}
    assert not any(changed.values()), failed.changes


@pytest.mark.long
def test_state_directory_full(fleet, tell_load):
    """Every change refuses it, on whichever host it writes there."""
    before = fleet.picture()
    with fleet.load(fleet.now) as load, small_state(HOST) as fill, small_state("gateway-2") as too:
        fill()
        refused(fleet.update("C"), f"{HOST}: {FULL}")
        refused(play("site.yml"), f"{HOST}: {FULL}")
        too()
        refused(fleet.rollback(), f"gateway-2: {FULL}")
    tell_load(load)
    expect_unchanged(before)


def test_state_directory_fills_in_the_middle(fleet, tell, tell_load):
    """All goes back nevertheless, and is said to be; prune.yml removes what was staged."""
    before, right = fleet.picture(), fleet.corpora.by_id(fleet.now)
    with (
        resealed(fleet.source("C"), GENERATIONS, nothing_wrong) as fresh,
        small_state(HOST) as fill,
    ):
        right[fresh.name] = fleet.corpora.answers["C"].auto
        routing = root("gateway-2") / f"srv/askfleet/generations/{fresh.name}/routing"
        with (
            Load(right) as load,
            start_update_to(fresh) as running,
            Trigger(turn_of(running, "shards"), fill) as full,
            Trigger(turn_of(running, "shards"), lambda: routing.chmod(0o700)) as fault,
        ):
            failed = running.done()
    tell_load(load)
    assert full.fired
    assert fault.fired
    failed.failed("gateway-2: activating gateway: ask the canaries")
    lines = summary(failed)
    assert any(SAME in line for line in lines), lines
    assert any(line.startswith(f"staged: {fresh.name} stays on ") for line in lines), lines
    expect_unchanged(before)
    pruned = play("prune.yml", "-e", "askfleet_keep_generations=2").succeeded()
    tell(f"prune.yml {pruned.seconds:.1f} s")
    holders = [
        host
        for host in (*SHARDS, *GATEWAYS)
        if any(part.startswith(f"generations/{fresh.name}/") for part in parts(host))
    ]
    assert holders == []
    expect_unchanged(before)


def test_data_read_only(fleet, tell_load):
    before = fleet.picture()
    with fleet.load(fleet.now) as load, read_only_data(HOST) as freeze:
        freeze()
        fault = f"{HOST}: /srv/askfleet/shard cannot be written: Read-only file system: mount it"
        refused(fleet.update("C"), fault)
    tell_load(load)
    expect_unchanged(before)


@pytest.mark.long
def test_data_read_only_from_the_middle_on(fleet, tell, tell_load):
    """What was flipped there cannot go back, and that is what is said."""
    old, new = fleet.now, fleet.other()
    before, (generation,) = fleet.picture(), fleet.corpora.ids(new)
    with (
        read_only_data(HOST) as freeze,
        maskable(LAST, MASKED) as mask,
        fleet.load(old) as load,
        fleet.start(new) as running,
        Trigger(link_names(HOST, generation), freeze) as frozen,
        Trigger(link_names(NEXT_TO_LAST, generation), mask) as fault,
    ):
        failed = running.done()
    tell_load(load)
    assert frozen.fired
    assert fault.fired
    lines = summary(failed)
    moved = f"state: {HOST} is not where it was: shard/current names {generation}, before "
    assert any(line.startswith(moved) for line in lines), lines
    assert any("the other 7 hosts are where they were" in line for line in lines), lines
    assert fleet.picture(HOST) == before.but(HOST)
    with fleet.load(old, new) as load:
        fleet.update(new).succeeded()
    tell(f"again: {load}, {load.seconds:.1f} s")
    load.check()
    expect_serves(fleet.corpora, new, old)


def test_dangling_link(fleet, tell_load):
    """It is called that, and not silent."""
    before = fleet.picture()
    with fleet.load(fleet.now) as load, dangling_link(HOST, "askfleet-shard@1"):
        told = play("status.yml")
    tell_load(load)
    fault = f"{HOST}: shard-1: its link shard/current is dangling: what it names is gone"
    told.failed(fault)
    assert any(fault in line for line in summary(told)), summary(told)
    assert f"{HOST}: shard-1: it is silent" not in told.output
    run_on(HOST, "systemctl", "is-active", "askfleet-shard@1")
    expect_unchanged(before)

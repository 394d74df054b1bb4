"""One host fails in the middle: its disk, a unit, a port, a gateway's files, its ssh."""

import re

import pytest
from fault_generations import nothing_wrong, resealed
from fault_inject import Trigger, link_names, turn_of
from lab_breaks import (
    cut_ssh,
    fill_disk,
    maskable,
    port_taken,
    silent_ssh,
    small_disk,
)
from lab_corpora import GENERATIONS, start_update_to
from lab_end import expect_unchanged
from lab_hosts import links, root, run_on
from lab_load import Load

LAST = "shard-d"


def forget_staged(host: str) -> None:
    """Remove the generations that no link names: what a host has already is not sent again."""
    kept = [part for name in links()[f"{host} shard"] if name for part in ("!", "-name", name)]
    place = "/srv/askfleet/generations"
    run_on(
        host,
        "find",
        place,
        "-mindepth",
        "1",
        "-maxdepth",
        "1",
        *kept,
        "-exec",
        "rm",
        "-r",
        "{}",
        "+",
    )


def test_disk_full_while_staging(fleet, tell_load):
    """Preflight finds room; then something else takes it."""
    before, source = fleet.picture(), fleet.source("C")
    forget_staged("shard-b")
    with resealed(source, GENERATIONS, nothing_wrong) as fresh, small_disk("shard-b", 16_000_000):
        with fleet.load(fleet.now) as load, start_update_to(fresh) as running:
            filled = running.begun("Take the lock")
            with Trigger(filled, lambda: fill_disk("shard-b", left=300_000)) as fault:
                failed = running.done()
        held = run_on("shard-b", "ls", "--almost-all", "/srv/askfleet/generations").split()
    tell_load(load)
    assert fault.fired
    # rsync says "No space left on device" only as long as the other end lives to tell it.
    failed.failed("shard-b: staging: ", "bytes are free below /srv/askfleet")
    assert int(re.findall(r"(\d+)\s+bytes\s+are\s+free", failed.output)[-1]) < 1_000_000
    assert not [name for name in held if name.startswith(".") or name == fresh.name]
    expect_unchanged(before)


def test_unit_masked_on_the_last_host(fleet, tell_load):
    """Just before its turn: systemd ends a masked service after 20 s, when no watchdog came."""
    unit = "askfleet-shard@3.service"
    before, (generation,) = fleet.picture(), fleet.corpora.ids("C")
    with (
        maskable(LAST, unit) as mask,
        fleet.load(fleet.now) as load,
        fleet.start("C") as running,
        Trigger(link_names("shard-c", generation), mask) as fault,
    ):
        failed = running.done()
    tell_load(load)
    assert fault.fired
    failed.failed(f"{LAST}: activating shard", f"{unit} cannot be started", "masked")
    expect_unchanged(before)


@pytest.mark.long
def test_port_taken_on_the_last_host(fleet, tell_load):
    unit = "askfleet-shard@3"
    before = fleet.picture()
    with fleet.load(fleet.now) as load, port_taken(LAST, unit, 7203):
        failed = fleet.update("C")
    tell_load(load)
    failed.failed(f"{LAST}: activating shard: restart", unit)
    expect_unchanged(before)


def test_canary_fails_on_the_second_gateway(fleet, tell_load):
    """What it staged is right, but its service may not read it; no gateway has it loaded yet."""
    before, right = fleet.picture(), fleet.corpora.by_id(fleet.now)
    with resealed(fleet.source("C"), GENERATIONS, nothing_wrong) as fresh:
        right[fresh.name] = fleet.corpora.answers["C"].auto
        routing = root("gateway-2") / f"srv/askfleet/generations/{fresh.name}/routing"
        with (
            Load(right) as load,
            start_update_to(fresh) as running,
            Trigger(turn_of(running, "shards"), lambda: routing.chmod(0o700)) as fault,
        ):
            failed = running.done()
    tell_load(load)
    assert fault.fired
    failed.failed("gateway-2: activating gateway: ask the canaries")
    assert load.served[fresh.name], "the first gateway was never switched"
    expect_unchanged(before)


def test_ssh_cut_in_the_middle(fleet, tell_load):
    """Two shard hosts have been switched, one is at it, and the last one no longer answers."""
    before, (generation,) = fleet.picture(), fleet.corpora.ids("C")
    with silent_ssh(LAST) as stopped, fleet.load(fleet.now) as load, fleet.start("C") as running:
        begun = link_names("shard-b", generation)
        with Trigger(begun, lambda: cut_ssh(LAST, stopped)) as fault:
            failed = running.done()
    tell_load(load)
    assert fault.fired
    failed.failed(f"{LAST}: activating shard: it does not answer (ssh)")
    expect_unchanged(before)

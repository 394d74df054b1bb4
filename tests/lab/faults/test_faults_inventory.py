"""The inventory changes under load: shards move, hosts are replaced and renamed, and back."""

import json
from pathlib import Path

import pytest
from fault_inventory import Inventory, members, renamed, shards
from lab_breaks import kill_host, revive
from lab_end import expect_status, expect_unchanged
from lab_hosts import GATEWAYS, HOSTS, health, links, parts, run_on, snapshot
from lab_plays import play

# Shard 3 is on shard-c and shard-d, shard 0 on shard-a and shard-d.
TAKEN = {"shard_a": [0, 1, 3], "shard_c": [2], "shard_d": [0]}
PORT_3, GATEWAY_PORT = 7203, 7000


def served_by(host: str, port: int) -> tuple[str, str]:
    """The generations that a service of a host has loaded."""
    url = f"http://127.0.0.1:{port}/health"
    ids = json.loads(run_on(host, "curl", "--silent", "--max-time", "10", url))["generations"]
    return ids["current"], ids["previous"]


def units(host: str) -> str:
    """The units of services that a host has."""
    return run_on(host, "systemctl", "list-unit-files", "--no-legend", "askfleet-*")


def holds_shard_3(host: str) -> bool:
    return any("/shard-003/" in path for path in parts(host))


@pytest.fixture
def fleet(fleet):
    """It has something to go back to."""
    if not fleet.before:
        fleet.update(fleet.other()).succeeded()
    return fleet


@pytest.mark.parametrize("options", [("--check",), ()], ids=["check", "for good"])
def test_the_last_replicas_of_a_shard_stay(fleet, tell, tell_load, tmp_path: Path, options):
    """The host that is to have it has no data."""
    before, files = fleet.picture(), {host: snapshot(host) for host in HOSTS}
    inventory = Inventory(tmp_path / "inventory", shards(**TAKEN))
    with fleet.load(fleet.now) as load:
        refused = inventory.site(*options)
    tell(f"refused after {refused.seconds:.1f} s")
    tell_load(load)
    refused.failed(
        "No host has been touched.",
        "shard 3: the inventory takes it from shard-c and shard-d, and none of shard-a serves",
        f"update_index.yml -e generation={fleet.corpora.ids(fleet.now)[0]}",
    )
    assert {host: snapshot(host) for host in HOSTS} == files
    assert fleet.picture() == before


def test_an_update_waits_for_the_pools(fleet, tell_load, tmp_path: Path):
    """nginx would go on asking hosts that do not get the new generation."""
    before = fleet.picture()
    inventory = Inventory(tmp_path / "inventory", shards(shard_d=[0]))
    with fleet.load(fleet.now) as load:
        refused = inventory.update(fleet.corpora.ids(fleet.other())[0])
    tell_load(load)
    refused.failed("for shard-3, the inventory says", "run site.yml first")
    assert fleet.picture() == before


@pytest.mark.long
def test_move_a_shard(fleet, tell, tell_load, tmp_path: Path):
    """Shard 3 goes from shard-d to shard-a, as docs/operations.md says, and comes back."""
    before, now = fleet.picture(), fleet.now
    (generation,) = fleet.corpora.ids(now)
    both = links()[f"{GATEWAYS[0]} gateway"]
    beside = Inventory(tmp_path / "beside", shards(shard_a=[0, 1, 3]))
    moved = Inventory(tmp_path / "moved", shards(shard_a=[0, 1, 3], shard_d=[0]))
    with fleet.load(now) as load:
        beside.site().succeeded()
        assert "askfleet-shard@3.service" in units("shard-a")
        beside.update(generation).succeeded()
        assert served_by("shard-a", PORT_3) == both, "it has what the others keep as previous, too"
        moved.site().succeeded()
        moved.status().succeeded()
    tell(f"moved: {load}, {load.seconds:.1f} s")
    load.check()
    assert "askfleet-shard@3" not in units("shard-d")
    assert holds_shard_3("shard-a")
    assert not holds_shard_3("shard-d")
    with fleet.load(now) as load:
        play("site.yml").succeeded()
        fleet.update(now).succeeded()
    tell_load(load)
    assert not holds_shard_3("shard-a")
    expect_unchanged(before)


@pytest.mark.long
def test_replace_a_host(fleet, tell, tell_load, tmp_path: Path):
    """encoder-2 takes the shards of shard-d; a rollback finds them there; shard-d comes back."""
    before, old, now = fleet.picture(), fleet.before, fleet.now
    (generation,) = fleet.corpora.ids(now)
    beside = Inventory(tmp_path / "beside", shards(encoder_2=[0, 3]))
    replaced = Inventory(tmp_path / "replaced", shards(encoder_2=[0, 3], shard_d=[]))
    with fleet.load(now, old) as load:
        beside.site().succeeded()
        beside.update(generation).succeeded()
        replaced.site().succeeded()
        replaced.status().succeeded()
        replaced.rollback().succeeded()
        assert served_by("encoder-2", PORT_3)[0] == generation
        replaced.rollback().succeeded()
    tell(f"replaced: {load}, {load.seconds:.1f} s")
    load.check()
    with fleet.load(now) as load:
        play("site.yml").succeeded()
    tell_load(load)
    assert "askfleet-shard" not in units("encoder-2")
    expect_unchanged(before)


@pytest.mark.long
def test_replace_a_dead_host(fleet, tell, tell_load, tmp_path: Path):
    """shard-d is off, and encoder-2 takes its shards: both in one change of the inventory."""
    before, now = fleet.picture(), fleet.now
    (generation,) = fleet.corpora.ids(now)
    replaced = Inventory(tmp_path / "replaced", shards(encoder_2=[0, 3], shard_d=[]))
    try:
        with fleet.load(now) as load:
            kill_host("shard-d")
            replaced.site().succeeded()
            replaced.update(generation).succeeded()
            replaced.status().succeeded()
        tell(f"replaced: {load}, {load.seconds:.1f} s")
        load.check()
        assert served_by("encoder-2", PORT_3)[0] == generation
    finally:
        revive()
    with fleet.load(now) as load:
        play("site.yml").succeeded()
        fleet.update(now).succeeded()
    tell_load(load)
    expect_unchanged(before)


@pytest.mark.long
def test_a_gateway_and_an_encoder_come_and_go(fleet, tell, tell_load, tmp_path: Path):
    """shard-a becomes a gateway too, shard-b an encoder; then they are none again.

    Another list of gateways reloads nginx of the edges.
    """
    before, now = fleet.picture(), fleet.now
    (generation,) = fleet.corpora.ids(now)
    more = Inventory(tmp_path / "more", members(gateways="shard-a", encoders="shard-b"))
    with fleet.load(now, reloads=True) as load:
        more.site().succeeded()
        more.update(generation).succeeded()
        more.status().succeeded()
    tell(f"came: {load}, {load.seconds:.1f} s")
    load.check()
    assert served_by("shard-a", GATEWAY_PORT)[0] == generation
    assert "askfleet-encoder" in units("shard-b")
    with fleet.load(now, reloads=True) as load:
        play("site.yml").succeeded()
    tell_load(load)
    assert "askfleet-gateway" not in units("shard-a")
    assert "askfleet-encoder" not in units("shard-b")
    expect_unchanged(before)


@pytest.mark.long
def test_rename_a_host(fleet, tell, tell_load, tmp_path: Path):
    """Only what tells its host's name restarts, and nothing is sent."""
    before, now = fleet.picture(), fleet.now
    inventory = Inventory(tmp_path / "inventory", renamed("shard-d", "shard-e"))
    with fleet.load(now) as load:
        inventory.site().succeeded()
        inventory.status().succeeded()
    tell(f"renamed: {load}, {load.seconds:.1f} s")
    load.check()
    assert {body["host"] for where, body in health().items() if "shard-d" in where} == {"shard-e"}
    with fleet.load(now) as load:
        play("site.yml").succeeded()
    tell_load(load)
    expect_status(fleet.corpora.ids(now)[0])
    expect_unchanged(before)

"""No play takes away the last replica that serves something."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_sources import load_filter
from fleet_looks import FLEET, GROUPS, M1, SHARDS, A, B, asked, fleet_of, look, looks

keep = load_filter("keep")

# Shard 0 has one replica here, shard 1 two.
LOST = {"shard-a": [1], "shard-b": [0, 1]}


def refusals(fleet: Any, seen: dict[str, Any]) -> list[str]:
    found: list[str] = keep.askfleet_last_replicas(
        fleet, {host: {"look": told} for host, told in seen.items()}
    )
    return found


def judged_by(fleet: Any, seen: dict[str, Any]) -> dict[str, Any]:
    """What the hosts of another inventory say: of services that are new to them, nothing yet."""
    found = {}
    for host, entry in fleet["hosts"].items():
        told = seen.get(host) or look("gateway-1", holds=()) | {"health": {}}
        health = {
            service["name"]: told["health"].get(service["name"], {"status": "silent"})
            for service in entry["services"]
        }
        found[host] = {**told, "health": health}
    return found


def test_a_first_install_takes_nothing_away() -> None:
    seen = looks()
    for told in seen.values():
        told["asked"] = {}
    assert refusals(FLEET, seen) == []


def test_a_fleet_at_rest_takes_nothing_away() -> None:
    assert refusals(FLEET, looks((B, A), (M1,))) == []


def test_a_shard_that_moves_to_a_host_without_its_data_is_refused() -> None:
    fleet = fleet_of(GROUPS, LOST)
    seen = judged_by(fleet, looks((B, A), (M1,)))
    [line] = refusals(fleet, seen)
    assert line == (
        f"shard 0: the inventory takes it from shard-a, and none of shard-b serves {B}: leave "
        "shard-a in the inventory beside shard-b, run site.yml and update_index.yml -e "
        f"generation={B}, then take it out and run site.yml again"
    )


def test_a_shard_may_leave_once_its_new_host_serves_it() -> None:
    fleet = fleet_of(GROUPS, LOST)
    seen = judged_by(fleet, looks((B, A), (M1,)))
    served = {"status": "ok", "generations": {"current": B, "previous": A}}
    seen["shard-b"]["health"]["shard-0"] = served
    assert refusals(fleet, seen) == []
    seen["shard-b"]["drained"] = ["shard-0"]
    assert refusals(fleet, seen), "drained by hand, it answers nobody"
    seen["shard-b"]["drained"] = []
    served["generations"] = {"current": A, "previous": None}
    assert f"serves {B}:" in refusals(fleet, seen)[0]


def test_the_last_healthy_replica_stays() -> None:
    """The other one has the data, and does not answer."""
    fleet = fleet_of(GROUPS, {"shard-a": [0], "shard-b": [1]})
    seen = judged_by(fleet, looks((B, A), (M1,)))
    assert refusals(fleet, seen) == []
    seen["shard-b"]["health"]["shard-1"] = {"status": "silent"}
    for gateway in GROUPS["gateways"]:
        replica = FLEET["shards"][1]["replicas"][1]
        seen[gateway]["asked"]["shard-1"][replica] = {"status": "silent", "loaded": []}
    [line] = refusals(fleet, seen)
    assert line.startswith("shard 1: the inventory takes it from shard-a, and none of shard-b ")


def test_the_last_that_has_the_data_stays_even_where_its_service_is_down() -> None:
    fleet = fleet_of(GROUPS, {"shard-a": [0], "shard-b": [1]})
    seen = looks((B, A), (M1,))
    for host in SHARDS:
        for body in seen[host]["health"].values():
            body["status"] = "silent"
    for gateway in GROUPS["gateways"]:
        seen[gateway]["asked"] = asked(FLEET, seen, gateway)
    assert refusals(FLEET, seen) == [], "site.yml may mend what is down"
    assert len(refusals(fleet, judged_by(fleet, seen))) == 1


def test_hosts_that_left_the_inventory_are_known_by_what_nginx_asks() -> None:
    groups = {**GROUPS, "shards": ["shard-b", "shard-c"]}
    fleet = fleet_of(groups, {"shard-b": [1], "shard-c": [0]})
    seen = judged_by(fleet, looks((B, A), (M1,)))
    [line] = refusals(fleet, seen)
    assert line.startswith("shard 0: the inventory takes it from shard-a, and none of shard-c ")
    for gateway in GROUPS["gateways"]:
        for body in seen[gateway]["asked"]["shard-0"].values():
            body["status"] = "silent"
    assert refusals(fleet, seen) == [], "nobody has it any more: install it anew"


def test_a_host_under_another_name_keeps_its_place() -> None:
    groups = {**GROUPS, "shards": ["shard-new", "shard-b"]}
    hosts = {"shard-new": [0, 1], "shard-b": [1]}
    fleet = fleet_of(groups, hosts, addresses={"shard-new": "shard-a"})
    seen = looks((B, A), (M1,))
    seen["shard-new"] = seen.pop("shard-a")
    assert refusals(fleet, seen) == []


def test_a_host_without_ssh_that_nginx_reaches_stays() -> None:
    fleet = fleet_of(GROUPS, {"shard-a": [0], "shard-b": [1]})
    seen = judged_by(fleet, looks((B, A), (M1,)))
    del seen["shard-b"]
    assert refusals(fleet, seen) == []


def test_the_last_encoder_with_the_model_stays() -> None:
    groups = {**GROUPS, "encoders": ["encoder-3"]}
    fleet = fleet_of(groups, SHARDS)
    seen = judged_by(fleet, looks((B, A), (M1,)))
    [line] = refusals(fleet, seen)
    assert line.startswith(
        "the encoder: the inventory takes it from encoder-1 and encoder-2, and none of encoder-3 "
        f"serves {M1}: "
    )
    seen["encoder-3"]["health"]["encoder"] = {"status": "ok", "models": {"current": M1}}
    assert refusals(fleet, seen) == []


def test_the_last_gateway_that_works_stays() -> None:
    groups = {**GROUPS, "edge": ["edge-1"], "gateways": ["gateway-3"]}
    fleet = fleet_of(groups, SHARDS)
    before = looks((B, A), (M1,))
    seen = judged_by(fleet, before)
    seen["edge-1"]["asked"] = {"gateway": asked(FLEET, before, "gateway-1")["gateway"]}
    [line] = refusals(fleet, seen)
    assert line.startswith("the gateway: the inventory takes it from gateway-1 and gateway-2, ")
    assert f"update_index.yml -e generation={B}" in line
    for told in seen.values():
        told["held"]["generations"] = {}
    seen["gateway-3"]["health"]["gateway"] = {"status": "ok", "generations": {"current": B}}
    assert refusals(fleet, seen) == []


def test_gateways_that_are_split_may_lose_one() -> None:
    before = looks((B, A), (M1,))
    before["gateway-2"] = look("gateway-2", A)
    for gateway in GROUPS["gateways"]:
        before[gateway]["asked"] = asked(FLEET, before, gateway)
    fleet = fleet_of({**GROUPS, "gateways": ["gateway-1"]}, SHARDS)
    assert refusals(fleet, judged_by(fleet, before)) == []


# --- an update


@pytest.mark.parametrize("served", [(), (B, A)])
def test_an_update_goes_on_where_nginx_asks_whom_the_inventory_says(served: tuple[str]) -> None:
    assert keep.askfleet_other_pools(FLEET, looks(served, (M1,))) == []


def test_an_update_is_refused_where_nginx_asks_others() -> None:
    fleet = fleet_of(GROUPS, {"shard-a": [0], "shard-b": [1]})
    found = keep.askfleet_other_pools(fleet, looks((B, A), (M1,)))
    assert found == [
        f"{gateway}: nginx asks shard-a:7201 and shard-b:7201 for shard-1, the inventory says "
        "shard-b:7201: run site.yml first"
        for gateway in GROUPS["gateways"]
    ]

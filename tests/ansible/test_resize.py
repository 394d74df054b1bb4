"""Another number of shards: the inventory may have more than what is served, never fewer."""

from __future__ import annotations

from typing import Any

from ansible_sources import load_filter
from fleet_looks import DATA, GROUPS, M1, A, B, C, fleet_of, look, looks, record

keep = load_filter("keep")
back = load_filter("rollback")
parts = load_filter("parts")
plan = load_filter("plan")

# Generations of `fleet_looks` have two shards.
GROWN = {"shard-a": [0, 1], "shard-b": [1, 2]}


def fleet(count: int, shards: dict[str, list[int]]) -> dict[str, Any]:
    return fleet_of(GROUPS, shards, count=count)


def seen(more: dict[str, Any], *served: str) -> dict[str, Any]:
    """Looks at a fleet that serves these; services of the other inventory say that they do, too."""
    found = looks(served, (M1,))
    for host, entry in more["hosts"].items():
        healthy = next(iter(found[host]["health"].values()))
        found[host]["health"] = {one["name"]: healthy for one in entry["services"]}
    return found


def looked(looks: dict[str, Any]) -> dict[str, Any]:
    return {host: {"look": told} for host, told in looks.items()}


def test_more_shards_take_nothing_away() -> None:
    grown = fleet(3, GROWN)
    assert keep.askfleet_last_replicas(grown, looked(seen(grown, B, A))) == []


def test_fewer_shards_than_what_is_served_are_refused() -> None:
    small = fleet(1, {"shard-a": [0], "shard-b": [0]})
    [line, *_] = keep.askfleet_last_replicas(small, looked(looks((B, A), (M1,))))
    assert line == (
        f"generation {B}, which gateways serve, has 2 shards, the inventory 1 "
        "(askfleet_shard_count): leave them in the inventory, serve a generation of 1 "
        "(update_index.yml -e corpus=FILE -e shard_count=1), then take them out and run site.yml "
        "again"
    )


def test_a_rollback_to_more_shards_than_the_inventory_has_is_refused() -> None:
    small = fleet(1, {"shard-a": [0], "shard-b": [0]})
    found = back.askfleet_target(looked(looks((B, A), (M1,))), small, "previous")
    assert found["record"] == {}
    assert found["faults"][0].startswith(f"{A} has 2 shards, the inventory 1: give the others")


def test_a_rollback_to_fewer_shards_goes() -> None:
    grown = fleet(3, GROWN)
    found = back.askfleet_target(looked(seen(grown, B, A)), grown, "previous")
    assert (found["faults"], found["behind"]) == ([], [])
    assert found["record"]["generation"] == A


def test_nobody_misses_a_shard_that_the_generation_does_not_have() -> None:
    grown = fleet(3, GROWN)
    told = seen(grown, B, A)
    assert back.askfleet_previous(looked(told), grown, record(C))["missing"] == []
    told["shard-b"] = look("shard-b")
    assert back.askfleet_previous(looked(told), grown, record(C))["missing"] == ["shard-b"]


def test_its_host_is_sent_the_manifest_alone() -> None:
    grown = fleet(3, {"shard-a": [0, 1], "shard-b": [2]})
    [part] = parts.askfleet_parts(grown["hosts"]["shard-b"], record(C), DATA, "askfleet")
    assert list(part["files"]) == ["manifest.json"]
    assert part["verify"] == ["askfleet", "verify", "--shard=2"]
    made = plan.askfleet_plan(grown, seen(grown, B, A), record(C), DATA)
    assert (made["faults"], made["sends"]["shard-b"]) == ([], 10)

"""What a controller that has lost a generation fetches, and from which host."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_sources import load_filter
from fleet_looks import GROUPS, M1, M2, MODEL_SIZES, SIZES, A, B, D, files, look, looks

fetch = load_filter("fetch")

MEMBERS = ["encoder-1", "encoder-2", "shard-a", "shard-b", "gateway-1", "gateway-2"]
STAGED = {"generations": "/var/generations/.fetching-B", "models": "/var/models/.fetching-1"}


def choice(seen: dict[str, Any], wanted: str = "") -> dict[str, Any]:
    found: dict[str, Any] = fetch.askfleet_choice(seen, GROUPS["gateways"], wanted)
    return found


def served() -> dict[str, Any]:
    return looks((B, A), (M1,))


def test_what_the_gateways_serve_is_fetched() -> None:
    found = choice(served())
    assert (found["faults"], found["generation"], found["model"]) == ([], B, M1)
    assert (found["generation_host"], found["model_host"]) == ("shard-a", "encoder-1")
    assert choice(served(), A)["generation"] == A


def test_gateways_that_differ_need_a_name() -> None:
    seen = served()
    seen["gateway-2"] = look("gateway-2", A, B)
    [fault] = choice(seen)["faults"]
    assert f"serve {A} and {B}: name one" in fault
    assert choice(seen, A)["faults"] == []
    del seen["gateway-1"], seen["gateway-2"]
    assert "serve no generation: name one" in choice(seen)["faults"][0]


def test_a_generation_that_nobody_holds_is_refused_with_what_they_hold() -> None:
    [fault] = choice(served(), D)["faults"]
    assert fault == f"No host that answers holds generation {D}. They hold: {A}, {B}."


def test_of_different_manifests_the_one_that_most_hosts_hold_is_read() -> None:
    seen = served()
    seen["shard-a"]["held"]["generations"][B]["record"] = "another"
    seen["shard-a"]["held"]["generations"][B]["model"] = M2
    assert (choice(seen)["generation_host"], choice(seen)["model"]) == ("shard-b", M1)


def test_a_model_that_no_host_holds_has_no_host() -> None:
    seen = served()
    for host in GROUPS["encoders"]:
        seen[host] = look(host, M2)
    assert (choice(seen)["model"], choice(seen)["model_host"]) == (M1, "")


def pieces(**without: Any) -> list[dict[str, Any]]:
    told = {"manifest": {"files": own(SIZES, B)}, "model": {"files": own(MODEL_SIZES, M1)}}
    found: list[dict[str, Any]] = fetch.askfleet_pieces(
        choice(served()), *(told | without).values(), "/srv", STAGED
    )
    return found


def own(sizes: dict[str, int], seal: str) -> dict[str, Any]:
    """As a record lists files: it does not list itself."""
    return {k: v for k, v in files(sizes, seal).items() if k not in {"manifest.json", "model.json"}}


def test_pieces_are_what_one_host_can_give() -> None:
    found = {piece["name"]: piece for piece in pieces()}
    names = ["canaries.jsonl", "routing", "shard-000", "shard-001"]
    assert list(found) == [*(f"{one} of generation {B}" for one in names), f"model {M1}"]
    shard = found[f"shard-000 of generation {B}"]
    assert set(shard["files"]) == {"shard-000/index.faiss", "shard-000/documents.bin"}
    assert shard["size"] == 540_000
    assert shard["filters"] == ["--include=/shard-000/***", "--exclude=*"]
    assert (shard["path"], shard["staged"]) == (f"/srv/generations/{B}", STAGED["generations"])
    assert found[f"canaries.jsonl of generation {B}"]["filters"][0] == "--include=/canaries.jsonl"
    model = found[f"model {M1}"]
    assert (model["path"], model["staged"]) == (f"/srv/models/{M1}", STAGED["models"])
    assert model["filters"] == ["--exclude=/model.json"], "the record was read before"
    listed = {name for piece in pieces(model={}) for name in piece["files"]}
    assert listed == set(own(SIZES, B))


def test_what_is_here_already_is_no_piece() -> None:
    assert pieces(manifest={}, model={}) == []
    assert [piece["name"] for piece in pieces(manifest={})] == [f"model {M1}"]


def whole(**hosts: list[str]) -> dict[str, Any]:
    """Looks in which these hosts have these pieces whole."""
    return {
        host.replace("_", "-"): {"whole": dict.fromkeys(names, True), "sound": {}}
        for host, names in hosts.items()
    }


def sources(seen: dict[str, Any], *names: str) -> dict[str, Any]:
    wanted = [{"name": name, "size": 10, "files": {}} for name in names]
    found: dict[str, Any] = fetch.askfleet_piece_hosts(wanted, seen, MEMBERS)
    return found


def test_hosts_share_the_work() -> None:
    found = sources(whole(shard_a=["s0", "s1"], shard_b=["s0", "s1"]), "s0", "s1")
    assert (found["faults"], found["hosts"]) == ([], {"s0": "shard-a", "s1": "shard-b"})
    assert found["lines"] == ["s0: 10 bytes from shard-a", "s1: 10 bytes from shard-b"]


def test_a_host_whose_piece_is_damaged_gives_none() -> None:
    seen = whole(shard_a=["s0"], shard_b=["s0", "s1"])
    assert sources(seen, "s1")["hosts"] == {"s1": "shard-b"}


@pytest.mark.parametrize("silent", [[], ["shard-b", "gateway-2"]])
def test_a_piece_that_nobody_has_whole_is_named_with_the_way_out(silent: list[str]) -> None:
    seen = whole(**{host.replace("-", "_"): [] for host in MEMBERS if host not in silent})
    seen["shard-a"]["sound"] = {"s1": ["s1/index.faiss"]}
    [fault] = sources(seen, "s1")["faults"]
    assert fault.startswith("s1 is whole on no host that answers (damaged on shard-a): ")
    assert fault.endswith("restore var/ from a backup, or build from the corpus")
    assert ("bring shard-b, gateway-2 back and run this again" in fault) == bool(silent)

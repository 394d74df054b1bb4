"""Before anything is touched: what each host must hold, what moves, and why not to begin."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_sources import load_filter
from fleet_looks import (
    FLEET,
    M1,
    M2,
    MEMORY,
    MODEL_SIZES,
    SIZES,
    A,
    B,
    C,
    D,
    files,
    fleet_of,
    look,
    looks,
    record,
)

parts = load_filter("parts")
planned = load_filter("plan")

GATEWAY = SIZES["manifest.json"] + SIZES["canaries.jsonl"] + SIZES["routing/centroids.npy"]
SHARD_1 = SIZES["shard-001/index.faiss"]
SHARD_0 = sum(size for name, size in SIZES.items() if name.startswith("shard-000/"))


def plan(seen: dict[str, Any], new: dict[str, Any], fleet: Any = FLEET) -> dict[str, Any]:
    made: dict[str, Any] = planned.askfleet_plan(fleet, seen, new)
    return made


def row(made: dict[str, Any], host: str) -> str:
    [line] = [line for line in made["lines"] if line.startswith(f"{host} ")]
    return str(line)


def parts_of(host: str, new: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = parts.askfleet_parts(FLEET["hosts"][host], new, "/srv", "ask")
    return found


def test_a_shard_host_holds_its_shards_and_nothing_else() -> None:
    [part] = parts_of("shard-b", record(B))
    assert set(part["files"]) == {"manifest.json", "shard-001/index.faiss"}
    assert part["filters"] == [
        "--include=/manifest.json",
        "--include=/shard-001/***",
        "--exclude=*",
    ]
    assert part["verify"] == ["ask", "verify", "--shard=1"]
    assert part["path"] == f"/srv/generations/{B}"
    assert part["staged"] == f"/srv/generations/.staging-{B}"


def test_a_gateway_holds_routing_and_canaries() -> None:
    [part] = parts_of("gateway-1", record(B))
    assert set(part["files"]) == {"manifest.json", "canaries.jsonl", "routing/centroids.npy"}
    assert part["verify"] == ["ask", "verify", "--routing"]
    assert "--include=/routing/***" in part["filters"]


def test_an_encoder_holds_the_model() -> None:
    [part] = parts_of("encoder-1", record(B))
    assert (part["kind"], part["source"]) == ("model", f"/build/models/{M1}")
    assert part["files"] == files(MODEL_SIZES, M1)
    assert part["path"] == f"/srv/models/{M1}"
    assert part["verify"] == ["ask", "verify-model"]


def test_bytes_are_told_by_host_and_shard() -> None:
    made = plan(looks(), record(B))
    assert made["faults"] == []
    assert made["sends"] == {
        "encoder-1": sum(MODEL_SIZES.values()),
        "encoder-2": sum(MODEL_SIZES.values()),
        "shard-a": SIZES["manifest.json"] + SHARD_0 + SHARD_1,
        "shard-b": SIZES["manifest.json"] + SHARD_1,
        "gateway-1": GATEWAY,
        "gateway-2": GATEWAY,
    }
    assert "records 10 B, shard-000 540.0 kB, shard-001 6.0 MB" in row(made, "shard-a")
    assert "model 80.0 MB" in row(made, "encoder-1")
    assert "records 30 B, routing 3.0 kB" in row(made, "gateway-2")
    head = made["lines"][0]
    assert f"{B} (60 documents, 2 shards, model {M1}) after nothing; 172.5 MB to send" in head


def test_nothing_is_sent_where_everything_is_whole() -> None:
    seen = looks((B, A), (M1,))
    for told in seen.values():
        told["whole"] = {f"generation {B}": True, f"model {M1}": True}
    made = plan(seen, record(B))
    assert set(made["sends"].values()) == {0}
    assert all("0 B" in row(made, host) and " none " in row(made, host) for host in seen)


def test_a_file_that_any_generation_here_has_is_not_counted() -> None:
    new = record(B)
    new["files"]["shard-001/index.faiss"]["sha256"] = f"{A} shard-001/index.faiss"
    assert plan(looks((A,), (M1,)), new)["sends"]["shard-b"] == SIZES["manifest.json"]
    seen = looks((A,), (M1,))
    seen["shard-b"] = look("shard-b", C, holds=(A,))
    assert plan(seen, new)["sends"]["shard-b"] == SIZES["manifest.json"]


def test_of_a_damaged_part_only_what_is_damaged_is_counted() -> None:
    """Whether it is served or not; its record is right and says nothing about the files."""
    seen = looks((A,), (M1,))
    seen["shard-a"] = look("shard-a", A, holds=(B,))
    sound = ["manifest.json", "shard-000/documents.bin", "shard-001/index.faiss"]
    seen["shard-a"]["sound"] = {f"generation {B}": sound}
    seen["shard-a"]["whole"] = {f"generation {B}": False}
    assert plan(seen, record(B))["sends"]["shard-a"] == SIZES["shard-000/index.faiss"]


def test_what_was_sent_is_added_up_over_hosts_and_parts() -> None:
    def told(count: str) -> dict[str, str]:
        return {"msg": f"Number of files: 3\nTotal bytes sent: {count}\nTotal bytes received: 9\n"}

    two_parts = {"results": [told("1,234,567"), told("3")]}
    assert parts.askfleet_sent([two_parts, {"results": [told("30")]}]) == 1_234_600
    assert parts.askfleet_sent([{"results": [], "skipped": True}, {"unreachable": True}]) == 0


def test_rsync_compares_with_what_is_most_alike() -> None:
    [part] = parts_of("shard-a", record(B))

    def bases(told: dict[str, Any], of: dict[str, Any] = part) -> list[str]:
        found: list[str] = parts.askfleet_bases(of, told)
        return [base.rpartition("/")[2] for base in found]

    assert parts.askfleet_bases(part, look("shard-a", A)) == [f"/srv/generations/{A}"]
    assert bases(look("shard-a")) == []
    assert bases(look("shard-a", A, holds=(B,))) == [B, A], "B is here, damaged and not served"
    assert bases(look("shard-a", A, holds=(C,))) == [A], "C has nothing in common with B"
    part["files"]["shard-001/index.faiss"]["sha256"] = f"{C} shard-001/index.faiss"
    part["files"]["shard-000/index.faiss"]["sha256"] = f"{D} shard-000/index.faiss"
    assert bases(look("shard-a", A, holds=(D, C))) == [C, D, A]
    assert bases(look("encoder-1", M1), parts_of("encoder-1", record(B))[0]) == [M1]
    assert bases(look("gateway-1", A), parts_of("gateway-1", record(B))[0]) == [A]


def test_another_content_under_an_id_that_a_host_has_is_refused() -> None:
    seen = looks((A,), (M1,))
    seen["shard-b"] = look("shard-b", A, holds=(B,))
    made = planned.askfleet_plan(FLEET, seen, record(B), "/srv")
    assert made["faults"] == []
    seen["shard-b"]["held"]["generations"][B]["record"] = "of another content"
    [fault] = planned.askfleet_plan(FLEET, seen, record(B), "/srv")["faults"]
    assert fault.startswith(f"shard-b: generation {B}: /srv/generations/{B}/manifest.json is not")
    assert "remove that file on shard-b" in fault
    assert "fetch_generation.yml" in fault


def test_a_host_that_encodes_and_holds_a_shard_needs_the_sum() -> None:
    groups = {name: ["all-1"] for name in ("edge", "gateways", "encoders", "shards")}
    fleet = fleet_of(groups, {"all-1": [0, 1]})
    seen = {"all-1": {**look("gateway-1"), "disk": {"free": 0}}}
    made = plan(seen, record(B), fleet)
    everything = sum(SIZES.values()) + sum(MODEL_SIZES.values())
    assert made["sends"] == {"all-1": everything}
    assert f"{everything + planned.SPARE} bytes" in made["faults"][0]


@pytest.mark.parametrize(("short", "refused"), [(0, False), (1, True)])
def test_too_little_disk_is_refused_with_host_and_bytes(short: int, refused: bool) -> None:
    needed = sum(MODEL_SIZES.values()) + planned.SPARE
    seen = looks()
    seen["encoder-2"]["disk"]["free"] = needed - short
    faults = plan(seen, record(B))["faults"]
    assert bool(faults) == refused
    for fault in faults:
        assert fault.startswith("encoder-2: disk: ")
        assert f"{needed} bytes" in fault
        assert f"{needed - short} are free" in fault


def test_a_full_disk_matters_only_where_something_is_sent() -> None:
    seen = looks((B, A), (M1,))
    for told in seen.values():
        told["whole"] = {f"generation {B}": True, f"model {M1}": True}
        told["disk"]["free"] = 0
    assert plan(seen, record(B))["faults"] == []


# Host -> what it maps of the new generation beside the one that is served.
NEEDS = {
    "shard-a": 2 * sum(MEMORY) + 2 * planned.PROCESS,
    "shard-b": 2 * MEMORY[1] + planned.PROCESS,
    "gateway-1": SIZES["routing/centroids.npy"] + planned.PROCESS,
    "encoder-1": sum(MODEL_SIZES.values()) + planned.PROCESS,
}


@pytest.mark.parametrize("host", NEEDS)
@pytest.mark.parametrize("short", [0, 1])
def test_too_little_memory_is_refused_with_host_and_bytes(host: str, short: int) -> None:
    seen = looks((A,), (M1,))
    seen[host]["memory"]["available"] = NEEDS[host] - short
    faults = plan(seen, record(B))["faults"]
    assert len(faults) == short
    for fault in faults:
        assert fault.startswith(f"{host}: memory: {NEEDS[host]} bytes")
        assert f"{NEEDS[host] - 1} are available" in fault


def test_memory_is_told_before_and_after() -> None:
    assert row(plan(looks(), record(B)), "shard-b").endswith("0 B -> 6.0 MB")
    assert row(plan(looks((A,), (M1,)), record(B)), "shard-b").endswith("6.0 MB -> 12.0 MB")
    again = plan(looks((B, A), (M1,)), record(B))
    assert row(again, "shard-b").endswith("12.0 MB -> 6.0 MB")
    assert row(again, "gateway-1").endswith("-")


def test_a_model_that_nobody_has_is_refused() -> None:
    new = {**record(B, M2), "model_files": {}}
    seen = looks((A,), (M1,))
    seen["encoder-2"] = look("encoder-2", M1, holds=(M2,))
    [fault] = plan(seen, new)["faults"]
    assert fault.startswith(f"encoder-1: model {M2} is neither here nor on the controller")
    assert "publish-model" in fault
    seen["encoder-1"] = look("encoder-1", M1, holds=(M2,))
    assert plan(seen, new)["faults"] == []


def test_a_masked_unit_is_named() -> None:
    seen = looks((A,), (M1,))
    seen["shard-b"]["units"]["shard-1"] = {"LoadState": "masked"}
    [fault] = plan(seen, record(B))["faults"]
    assert fault == "shard-b: shard-1: its unit is masked: unmask it, or run site.yml"


def test_what_restarts() -> None:
    first = plan(looks(), record(B))
    assert " gateway " in row(first, "gateway-1")
    assert " encoder " in row(first, "encoder-1")
    made = plan(looks((A,), (M1,)), record(B))
    assert " shard@0, shard@1 " in row(made, "shard-a")
    assert " none " in row(made, "gateway-1"), "a running gateway follows its link"
    assert " none " in row(made, "encoder-1"), "the model is the same"
    assert " encoder " in row(plan(looks((A,), (M1,)), record(B, M2)), "encoder-1")
    damaged = looks((B, A), (M1,))
    assert " none " in row(plan(damaged, record(B)), "shard-a")
    damaged["shard-a"]["whole"][f"generation {B}"] = False
    assert " shard@0, shard@1 " in row(plan(damaged, record(B)), "shard-a")


def test_live_is_what_gateways_serve() -> None:
    seen = looks((A,), (M1,))
    assert plan(seen, record(C))["live"] == [A]
    seen["gateway-2"] = look("gateway-2", B, A)
    seen["shard-a"] = look("shard-a", C, B)
    made = plan(seen, record(C))
    assert made["live"] == [A, B]
    assert f"after {A} and {B};" in made["lines"][0]


def test_a_plan_changes_nothing_that_it_reads() -> None:
    seen, new = looks((A,), (M1,)), record(B)
    before = copy.deepcopy((seen, new, FLEET))
    plan(seen, new)
    assert (seen, new, FLEET) == before

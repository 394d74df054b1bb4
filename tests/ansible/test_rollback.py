"""The way back: what an update leaves as previous, who gets it, and where a rollback goes."""

from __future__ import annotations

from typing import Any

from ansible_sources import load_filter
from fleet_looks import (
    FLEET,
    GROUPS,
    M1,
    M2,
    MEMORY,
    MODEL_SIZES,
    SIZES,
    A,
    B,
    C,
    D,
    look,
    looks,
    place,
    record,
)

back = load_filter("rollback")
parts = load_filter("parts")
plan = load_filter("plan")


def looked(seen: dict[str, Any]) -> dict[str, Any]:
    return {host: {"look": told} for host, told in seen.items()}


# --- what an update leaves as previous


def previous(seen: dict[str, Any], new: str) -> dict[str, Any]:
    found: dict[str, Any] = back.askfleet_previous(looked(seen), FLEET, record(new))
    return found


def test_a_first_update_leaves_nothing() -> None:
    assert previous(looks(), A) == {"generation": "", "model": "", "missing": []}
    assert previous(looks((A,), (M1,)), A)["missing"] == []


def test_what_gateways_serve_is_left() -> None:
    seen = looks((B, A), (M1,))
    assert previous(seen, C) == {"generation": B, "model": M1, "missing": []}
    assert previous(seen, B) == {"generation": A, "model": M1, "missing": []}


def test_who_was_added_since_does_not_have_it() -> None:
    seen = looks((B, A), (M1,))
    for host in ("shard-b", "gateway-2", "encoder-2"):
        seen[host] = look(host)
    assert previous(seen, B)["missing"] == ["encoder-2", "shard-b", "gateway-2"]


def test_a_host_may_have_another_shard_of_it() -> None:
    seen = looks((B, A), (M1,))
    files = seen["shard-a"]["held"]["generations"][A]["files"]
    for name in [name for name in files if name.startswith("shard-001/")]:
        del files[name]
    assert previous(seen, B)["missing"] == ["shard-a"]


def test_an_encoder_needs_the_model_of_it() -> None:
    seen = looks((D, A), (M2, M1))
    seen["encoder-2"] = look("encoder-2", M2)
    assert previous(seen, D) == {"generation": A, "model": M1, "missing": ["encoder-2"]}


# --- who gets it


def shipped(host: str, told: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = parts.askfleet_previous_parts(
        FLEET["hosts"][host], new, told, "/srv/askfleet", "ask"
    )
    return found


def test_a_new_host_gets_its_part_of_it() -> None:
    new = {**record(B), "previous": record(A)}
    [part] = shipped("shard-b", look("shard-b", B), new)
    assert part["path"] == place(A)
    assert part["source"] == f"/build/generations/{A}"
    assert set(part["files"]) == {"manifest.json", "shard-001/index.faiss"}
    assert shipped("shard-b", look("shard-b", B, A), new) == []
    assert shipped("shard-b", look("shard-b", B), record(B)) == [], "nobody needs it"


def test_a_part_that_is_there_in_part_is_sent_beside_what_is_there() -> None:
    new = {**record(B), "previous": record(A)}
    told = look("shard-a", B, A)
    del told["held"]["generations"][A]["files"]["shard-001/index.faiss"]
    [part] = shipped("shard-a", told, new)
    assert parts.askfleet_bases(part, told)[0] == place(A)


def test_a_model_is_sent_once() -> None:
    new = {**record(B), "previous": record(A)}
    assert shipped("encoder-1", look("encoder-1"), new) == [], "it is the model of both"
    new = {**record(D, M2), "previous": record(A)}
    [part] = shipped("encoder-1", look("encoder-1", M2), new)
    assert (part["kind"], part["id"]) == ("model", M1)
    new["previous"]["model_files"] = {}
    assert shipped("encoder-1", look("encoder-1", M2), new) == [], "nobody has it to send"


def test_the_plan_counts_it() -> None:
    seen = looks((B, A), (M1,))
    seen["shard-b"] = look("shard-b")
    for told in seen.values():
        told["whole"] = {f"generation {B}": told is not seen["shard-b"], f"model {M1}": True}
    new = {**record(B), "previous": record(A)}
    sends = plan.askfleet_plan(FLEET, seen, new)["sends"]
    assert sends["shard-b"] == 2 * (SIZES["manifest.json"] + SIZES["shard-001/index.faiss"])
    assert sends["shard-a"] == 0
    assert sends["encoder-1"] == 0 < sum(MODEL_SIZES.values())


# --- where a rollback goes


def target(seen: dict[str, Any], name: str = "previous") -> dict[str, Any]:
    found: dict[str, Any] = back.askfleet_target(looked(seen), FLEET, name)
    return found


def refusal(found: dict[str, Any]) -> str:
    assert found["record"] == {}
    return " ".join(found["faults"])


def test_a_rollback_goes_to_what_gateways_left() -> None:
    found = target(looks((B, A), (M1,)))
    assert (found["faults"], found["behind"]) == ([], [])
    assert found["record"] == {
        "generation": A,
        "model": M1,
        "documents": 60,
        "memory": MEMORY,
        "files": {},
        "model_files": {},
        "source": "",
        "model_source": "",
        "without": [],
    }


def test_a_rollback_may_name_what_is_loaded() -> None:
    seen = looks((B, A), (M1,))
    assert target(seen, A)["record"]["generation"] == A
    for gateway in GROUPS["gateways"]:
        seen[gateway] = look(gateway, A, B)
    assert target(seen)["record"]["generation"] == B, "again: forward"


def test_a_rollback_counts_who_answers() -> None:
    seen = looks((B, A), (M1,))
    del seen["gateway-1"], seen["shard-b"]
    found = target(seen)
    assert found["record"]["generation"] == A
    assert found["behind"] == [f"shard-b: shard-1: it has not loaded {A}"]


def test_there_may_be_nothing_to_go_back_to() -> None:
    assert "no gateway has a previous generation" in refusal(target(looks((A,), (M1,))))
    assert refusal(target({}, C)) == "No gateway answers."


def test_gateways_that_differ_need_a_name() -> None:
    seen = looks((B, A), (M1,))
    seen["gateway-2"] = look("gateway-2", B, C, holds=(A,))
    told = refusal(target(seen))
    assert f"({A}, {C})" in told
    assert "-e generation=ID" in told
    assert target(seen, A)["record"]["generation"] == A


def test_a_new_gateway_does_not_block_it() -> None:
    seen = looks((B, A), (M1,))
    seen["gateway-2"] = look("gateway-2", B)
    found = target(seen)
    assert found["record"]["generation"] == A
    assert found["record"]["without"] == ["gateway-2"]
    assert found["behind"] == [f"gateway-2: gateway: it does not have {A}, and stops"]


def test_a_generation_that_no_gateway_has_is_no_target() -> None:
    told = refusal(target(looks((B, A), (M1,)), C))
    assert f"No gateway has {C}" in told
    assert f"update_index.yml -e generation={C}" in told


def test_one_replica_that_has_it_is_enough() -> None:
    seen = looks((B, A), (M1,))
    seen["shard-b"] = look("shard-b", B)
    seen["encoder-2"]["health"]["encoder"]["status"] = "silent"
    found = target(seen)
    assert found["record"]["generation"] == A
    assert found["behind"] == [
        f"shard-b: shard-1: it has not loaded {A}",
        f"encoder-2: encoder: it has not loaded {M1}",
    ]


def test_a_shard_that_nobody_has_loaded_is_named() -> None:
    seen = looks((B, A), (M1,))
    seen["shard-a"]["health"]["shard-0"]["status"] = "silent"
    told = refusal(target(seen))
    assert f"shard 0: none of shard-a is healthy and has {A}" in told
    assert "shard 1" not in told
    assert f"update_index.yml -e generation={A}" in told


def test_a_model_that_no_encoder_has_loaded_is_named() -> None:
    seen = looks((D, A), (M2, M1))
    for host in GROUPS["encoders"]:
        seen[host] = look(host, M2)
    assert f"encoder: none of encoder-1, encoder-2 is healthy and has {M1}" in refusal(target(seen))


def test_a_gateway_that_is_not_well_stops_no_rollback() -> None:
    seen = looks((B, A), (M1,))
    seen["gateway-1"]["health"]["gateway"] = {"status": "silent"}
    assert target(seen)["record"]["generation"] == A


class Lazy(dict[str, Any]):
    """A dictionary as Ansible hands it to a filter: its items are a generator."""

    def items(self) -> Any:
        return (pair for pair in super().items())


def test_ansibles_own_dictionaries_are_compared() -> None:
    new = {**record(B), "previous": record(A)}
    for told, sent in ((look("shard-b", B, A), 0), (look("shard-b", B), 1)):
        for held in told["held"]["generations"].values():
            held["files"] = Lazy(held["files"])
        assert len(shipped("shard-b", told, new)) == sent

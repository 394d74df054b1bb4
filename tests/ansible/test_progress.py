"""How far a change has come, and where links should point."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_sources import load_filter
from fleet_looks import (
    DATA,
    FLEET,
    GROUPS,
    M1,
    M2,
    A,
    B,
    C,
    D,
    fleet_of,
    look,
    looks,
    record,
)

judge = load_filter("progress")

STEPS = ["look", "lock", "stage", "encoder", "shard", "confirm", "gateway"]
DEAD = {"unreachable": True, "msg": "no route"}
SWITCHED = {"changed": True, "before": {}, "seconds": 1.0}


def everything_done() -> dict[str, dict[str, Any]]:
    """Variables of every host after a good update; facts of a module lie in `ansible_facts`."""
    told: dict[str, dict[str, Any]] = {}
    for kind, group in (("encoder", "encoders"), ("shard", "shards"), ("gateway", "gateways")):
        for host in GROUPS[group]:
            told[host] = {
                "activation_look": {"look": {}},
                "staging_sent": {"skipped": True},
                "staging_done": True,
                "activation_confirm": {"look": {}},
                "ansible_facts": {f"activation_switched_{kind}": SWITCHED},
            }
    for host in GROUPS["gateways"]:
        told[host]["activation_lock"] = {"was": {}}
    return told


def progress(
    told: dict[str, Any], steps: list[str] | None = None, allowed: int = 0, **how: Any
) -> dict[str, Any]:
    found: dict[str, Any] = judge.askfleet_progress(
        told, how.get("fleet", FLEET), how.get("groups", GROUPS), steps or STEPS, allowed
    )
    return found


def test_after_every_step_all_is_good() -> None:
    assert progress(everything_done()) == {"faults": [], "lost": [], "behind": [], "good": True}


SKIPPED, FAILED = {"skipped": True}, {"failed": True, "msg": "no"}


@pytest.mark.parametrize(
    ("step", "host", "change"),
    [
        ("look", "shard-a", {"activation_look": FAILED}),
        ("lock", "gateway-2", {"activation_lock": FAILED}),
        ("lock", "gateway-1", {"activation_lock": SKIPPED}),
        ("lock", "gateway-1", {"activation_lock": {}}),
        ("lock", "gateway-1", {"activation_lock": None}),
        ("stage", "encoder-1", {"staging_done": False, "staging_sent": FAILED}),
        ("stage", "encoder-1", {"staging_done": False, "staging_sent": SKIPPED}),
        ("encoder", "encoder-2", {"ansible_facts": {}}),
        ("shard", "shard-b", {"ansible_facts": {}, "activation_switch": SKIPPED}),
        ("confirm", "shard-a", {"activation_confirm": SKIPPED}),
        ("gateway", "gateway-1", {"ansible_facts": {}, "activation_switch": FAILED}),
    ],
)
def test_who_has_not_taken_a_step_is_behind(step: str, host: str, change: dict[str, Any]) -> None:
    told = everything_done()
    told[host].update(change)
    found = progress(told)
    assert found["behind"] == [host]
    assert not found["good"]
    assert progress(told, [one for one in STEPS if one != step])["good"]


@pytest.mark.parametrize("variable", ["activation_fault", "staging_fault"])
def test_a_fault_that_was_noted_stops_everybody(variable: str) -> None:
    told = everything_done()
    told["shard-b"][variable] = "shard-b: no room"
    found = progress(told, ["look"])
    assert found["faults"] == ["shard-b: no room"]
    assert not found["good"]


@pytest.mark.parametrize(
    ("host", "change", "words"),
    [
        ("shard-a", {"activation_look": DEAD}, "being looked at"),
        ("gateway-1", {"activation_lock": DEAD}, "taking the lock"),
        ("encoder-1", {"staging_sent": DEAD, "staging_done": False}, "staging"),
        ("shard-b", {"activation_silent": ["shard"], "ansible_facts": {}}, "activating shard"),
        ("shard-b", {"activation_confirm": DEAD}, "confirming what it serves"),
        ("gateway-2", {"activation_silent": ["gateway"]}, "activating gateway"),
    ],
)
def test_a_host_that_does_not_answer_is_lost_and_named(
    host: str, change: dict[str, Any], words: str
) -> None:
    told = everything_done()
    told[host].update(change)
    found = progress(told)
    assert found["lost"] == [host]
    assert f"{host}: {words}: it does not answer (ssh)" in found["faults"]
    assert not found["good"]


def test_a_lost_host_may_be_allowed() -> None:
    told = everything_done()
    told["encoder-2"] = {"activation_look": DEAD}
    assert progress(told, allowed=1) == {
        "faults": [],
        "lost": ["encoder-2"],
        "behind": [],
        "good": True,
    }
    told["gateway-1"] = {"activation_look": DEAD}
    found = progress(told, allowed=1)
    assert not found["good"]
    assert [fault.split(":")[0] for fault in found["faults"]] == ["encoder-2", "gateway-1"]
    assert progress(told, allowed=2)["good"]


def test_a_rollback_needs_gateways_and_one_replica_of_the_rest() -> None:
    told = everything_done()
    for host in ("encoder-2", "shard-b"):
        told[host] = {"activation_look": DEAD}
    found = judge.askfleet_progress(told, FLEET, GROUPS, ["look", "lock"], 0, ["gateways"])
    assert (found["good"], found["lost"]) == (True, ["encoder-2", "shard-b"])
    told["gateway-2"]["activation_look"] = DEAD
    assert not judge.askfleet_progress(told, FLEET, GROUPS, ["look"], 0, ["gateways"])["good"]
    told["gateway-2"]["activation_look"] = {"look": {}}
    told["shard-a"] = {"activation_look": DEAD}
    found = judge.askfleet_progress(told, FLEET, GROUPS, ["look"], 0, ["gateways"])
    assert "nobody is left to serve shard 0" in " ".join(found["faults"])


@pytest.mark.parametrize(
    ("hosts", "what"),
    [
        (["shard-a"], "shard-a: nobody is left to serve shard 0"),
        (["encoder-1", "encoder-2"], "encoder-1, encoder-2: nobody is left to serve the encoder"),
        (["gateway-1", "gateway-2"], "gateway-1, gateway-2: nobody is left to serve the gateway"),
    ],
)
def test_no_number_allows_to_lose_the_last_replica(hosts: list[str], what: str) -> None:
    told = everything_done()
    for host in hosts:
        told[host] = {"activation_look": DEAD}
    found = progress(told, allowed=9)
    assert [fault.split(": bring")[0] for fault in found["faults"]] == [what]
    assert not found["good"]
    told["shard-b"] = {"activation_look": DEAD}
    if hosts == ["shard-a"]:
        assert len(progress(told, allowed=9)["faults"]) == 2


def test_a_host_of_several_groups_is_judged_in_each() -> None:
    groups = {name: ["all-1", "all-2"] for name in ("edge", "gateways", "encoders", "shards")}
    fleet = fleet_of(groups, {"all-1": [0, 1], "all-2": [0, 1]})
    done = {
        "activation_look": {"look": {}},
        "activation_lock": {"was": {}},
        "staging_done": True,
        "activation_confirm": {"look": {}},
        "ansible_facts": {f"activation_switched_{k}": SWITCHED for k in ("encoder", "shard")},
    }
    told: dict[str, Any] = {"all-1": done, "all-2": {**done, "ansible_facts": {}}}
    found = progress(told, fleet=fleet, groups=groups)
    assert found["behind"] == ["all-2", "all-1"], "one lacks everything, one its gateway"
    assert progress(told, STEPS[:3], fleet=fleet, groups=groups)["good"]
    # all-2 was lost as an encoder; the plays after that skip it, and register that over it.
    told["all-2"].update(activation_silent=["encoder"], activation_switch={"skipped": True})
    found = progress(told, STEPS[:6], allowed=1, fleet=fleet, groups=groups)
    assert (found["lost"], found["good"]) == (["all-2"], True)


# --- where links point


def wanted(seen: dict[str, Any], host: str, new: str, model: str = M1) -> tuple[str, str]:
    """Names of the wanted `current` and `previous` of a host of one kind."""
    found: dict[str, str] = judge.askfleet_wanted(
        seen, GROUPS["gateways"], host, host.split("-")[0], record(new, model), DATA
    )
    for target in found.values():
        home = "models" if host.startswith("encoder") else "generations"
        assert not target or target.startswith(f"{DATA}/{home}/")
    return found["current"].rpartition("/")[2], found["previous"].rpartition("/")[2]


def everywhere(seen: dict[str, Any], new: str, model: str = M1) -> set[tuple[str, str]]:
    """What the shards and gateways, all alike, want."""
    hosts = GROUPS["shards"] + GROUPS["gateways"]
    return {wanted(seen, host, new, model) for host in hosts}


def test_links_of_a_first_update() -> None:
    assert everywhere(looks(), A) == {(A, "")}
    assert wanted(looks(), "encoder-1", A) == (M1, "")


def test_links_of_the_second_and_the_third() -> None:
    assert everywhere(looks((A,), (M1,)), B) == {(B, A)}
    assert everywhere(looks((B, A), (M1,)), C) == {(C, B)}


def test_the_same_again_changes_no_link() -> None:
    assert everywhere(looks((A,), (M1,)), A) == {(A, "")}
    seen = looks((B, A), (M1,))
    assert everywhere(seen, B) == {(B, A)}
    assert wanted(seen, "encoder-1", B) == (M1, "")


def test_links_after_an_interruption_among_the_shards() -> None:
    seen = looks((A,), (M1,))
    seen["shard-a"] = look("shard-a", B, A)
    assert everywhere(seen, B) == {(B, A)}
    # Another generation instead: what gateways serve stays loaded, the unfinished one goes.
    assert wanted(seen, "shard-a", C) == (C, A)


def test_links_after_an_interruption_among_the_gateways() -> None:
    seen = looks((B, A), (M1,))
    seen["gateway-2"] = look("gateway-2", A)
    assert everywhere(seen, B) == {(B, A)}


def test_links_after_a_rollback() -> None:
    seen = looks((B, A), (M1,))
    for gateway in GROUPS["gateways"]:
        seen[gateway] = look(gateway, A, B)
    assert wanted(seen, "shard-a", B) == (B, A), "forward again: shards stay as they are"
    assert wanted(seen, "gateway-1", B) == (B, A)
    for host in GROUPS["shards"] + GROUPS["gateways"]:
        assert wanted(seen, host, C) == (C, A), "what is served stays, what was left goes"


def test_a_host_that_was_away_keeps_what_it_has() -> None:
    seen = looks((C, B), (M1,))
    seen["shard-a"] = look("shard-a", A)
    assert wanted(seen, "shard-a", C) == (C, ""), "it has not got what gateways served before"
    seen["shard-a"] = look("shard-a", B, A)
    assert wanted(seen, "shard-a", C) == (C, B)
    seen["gateway-2"] = look("gateway-2", A)
    assert wanted(seen, "gateway-2", C) == (C, A)


def test_a_lost_gateway_does_not_count() -> None:
    seen = looks((B, A), (M1,))
    del seen["gateway-2"]
    assert wanted(seen, "shard-a", C) == (C, B)


def test_a_host_that_is_given_what_others_left_keeps_that() -> None:
    """A host added between two updates: its part of the generation before is shipped, too."""
    seen = looks((B, A), (M1,))
    for host in ("shard-b", "gateway-2"):
        seen[host] = look(host)
    new = {**record(B), "previous": record(A)}

    def links(host: str, kind: str) -> list[str]:
        told = judge.askfleet_wanted(seen, GROUPS["gateways"], host, kind, new, DATA)
        return [target.rpartition("/")[2] for target in told.values()]

    assert links("shard-b", "shard") == [B, A]
    assert links("gateway-2", "gateway") == [B, A]
    assert links("shard-a", "shard") == [B, A]
    new["previous"]["files"] = {}  # the controller does not have it either
    assert links("shard-b", "shard") == [B, ""]
    assert links("gateway-2", "gateway") == [B, ""]


def test_an_encoder_is_given_the_model_that_others_left() -> None:
    seen = looks((D, A), (M2, M1))
    seen["encoder-2"] = look("encoder-2")
    new = {**record(D, M2), "previous": record(A, M1)}
    told = judge.askfleet_wanted(seen, GROUPS["gateways"], "encoder-2", "encoder", new, DATA)
    assert told == {"current": f"{DATA}/models/{M2}", "previous": f"{DATA}/models/{M1}"}


def test_a_gateway_without_what_a_rollback_goes_to_serves_nothing() -> None:
    seen = looks((B, A), (M1,))
    seen["gateway-2"] = look("gateway-2", B)
    back = {**record(A), "files": {}}
    told = judge.askfleet_wanted(seen, GROUPS["gateways"], "gateway-2", "gateway", back, DATA)
    assert told == {"current": "", "previous": f"{DATA}/generations/{B}"}
    assert wanted(seen, "gateway-2", A) == (A, B), "an update ships it"


def test_links_of_encoders_follow_the_models_of_generations() -> None:
    seen = looks((A,), (M1,))
    assert wanted(seen, "encoder-1", B) == (M1, ""), "the same model: nothing moves"
    for encoder in GROUPS["encoders"]:
        seen[encoder] = look(encoder, M1, holds=(M2,))
    assert wanted(seen, "encoder-1", D, M2) == (M2, M1)
    after = looks((D, A), (M2, M1))
    assert wanted(after, "encoder-1", D, M2) == (M2, M1)
    assert wanted(after, "encoder-1", B, M1) == (M1, M2), "back to the model before"
    rolled = {**after, **{gateway: look(gateway, A, D) for gateway in GROUPS["gateways"]}}
    assert wanted(rolled, "encoder-1", C, M2) == (M2, M1), "gateways need M1 meanwhile"


def test_an_encoder_without_the_previous_model_keeps_its_own() -> None:
    seen = looks((D, A), (M2, M1))
    seen["encoder-2"] = look("encoder-2", M2)
    assert wanted(seen, "encoder-2", D, M2) == (M2, "")


# --- who answers meanwhile


def stood_in(seen: dict[str, Any], host: str, *lost: str) -> list[str]:
    found: list[str] = judge.askfleet_stood_in(seen, host, FLEET, lost)
    return found


def test_a_service_is_stood_in_where_another_host_serves_the_same() -> None:
    seen = looks((A,), (M1,))
    assert stood_in(seen, "encoder-1") == ["encoder"]
    assert stood_in(seen, "gateway-2") == ["gateway"]
    assert stood_in(seen, "shard-b") == ["shard-1"]
    assert stood_in(seen, "shard-a") == ["shard-1"], "nobody else serves shard 0"


def test_who_is_not_well_or_lost_stands_in_for_nobody() -> None:
    seen = looks((A,), (M1,))
    assert stood_in(seen, "shard-b", "shard-a") == []
    seen["shard-a"]["health"]["shard-0"]["status"] = "silent"
    assert stood_in(seen, "shard-b") == ["shard-1"], "its other service"
    seen["shard-a"]["health"]["shard-1"]["status"] = "draining"
    assert stood_in(seen, "shard-b") == []
    del seen["encoder-2"]
    assert stood_in(seen, "encoder-1") == []


# --- what is loaded


def test_what_is_not_well_or_not_loaded_is_named() -> None:
    health = {
        **look("encoder-1", M1)["health"],
        **look("shard-a", B, A)["health"],
    }
    assert judge.askfleet_lack(health, B, M1) == []
    assert judge.askfleet_lack(health, A, M1) == []
    assert judge.askfleet_lack(health, C, M2) == [
        f"encoder has not loaded {M2}",
        f"shard-0 has not loaded {C}",
        f"shard-1 has not loaded {C}",
    ]
    health["shard-1"] = {"status": "silent", "error": "refused"}
    assert judge.askfleet_lack(health, B, M1) == ["shard-1 is silent"]
    [fault] = judge.askfleet_lack(health, B, M1, ["shard/current", "encoder/current"])
    assert (
        fault == "shard-1 cannot start: its link shard/current is dangling: what it names is gone"
    )

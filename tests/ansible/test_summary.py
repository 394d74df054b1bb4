"""What is said of a failed change: read from the hosts afterwards, in ten lines at most."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from ansible_sources import load_filter
from fleet_looks import FLEET, GROUPS, M1, A, B, C, look, looks

summary = load_filter("summary")
MEMBERS = GROUPS["encoders"] + GROUPS["shards"] + GROUPS["gateways"]


@pytest.fixture
def hosts() -> dict[str, dict[str, Any]]:
    """Variables of every host after an update from B to C that failed and was put back."""
    told: dict[str, dict[str, Any]] = {host: {} for host in MEMBERS}
    for name in ("activation_look", "activation_after"):
        for host, one in looks((B, A), (M1,)).items():
            told[host][name] = {"look": {**one, "release": "1.0", "unfinished": []}}
    return told


def now(hosts: dict[str, Any], host: str) -> dict[str, Any]:
    found: dict[str, Any] = hosts[host]["activation_after"]["look"]
    return found


def verdict(hosts: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = summary.askfleet_verdict(hosts, MEMBERS, FLEET)
    return found


def lines(hosts: dict[str, Any], **more: Any) -> list[str]:
    told = {
        "what": f"update to {C}",
        "faults": ["shard-b: activating shard: wait for askfleet-shard@1: it is loading"],
        "verdict": verdict(hosts),
        "unwritten": summary.askfleet_unwritten(hosts, MEMBERS),
        "staged": summary.askfleet_staged(hosts, MEMBERS, C),
        "generation": C,
        "locks": [],
    }
    found: list[str] = summary.askfleet_summary(told | more)
    assert len(found) <= summary.LINES
    assert not [line for line in found if "\n" in line or len(line) > 250]
    assert found[0] == f"Update to {C} failed."
    assert found[-1].startswith("next: ")
    return found


def test_all_is_where_it_was_only_where_every_host_says_so(hosts: dict[str, Any]) -> None:
    assert verdict(hosts) == {"same": MEMBERS, "moved": [], "unknown": [], "live": [B]}
    assert lines(hosts) == [
        f"Update to {C} failed.",
        "why: shard-b: activating shard: wait for askfleet-shard@1: it is loading",
        "state: links and /health were read after the failure: all 6 hosts are where they were; "
        f"the gateways serve {B}",
        "next: remove the cause, then run the same command again.",
    ]


def test_a_host_that_stayed_on_the_other_generation_is_named(hosts: dict[str, Any]) -> None:
    hosts["shard-b"]["activation_after"]["look"] = {**look("shard-b", C, B), "unfinished": []}
    found = verdict(hosts)
    [moved] = found["moved"]
    assert moved.startswith("shard-b is not where it was: ")
    assert f"shard/current names {C}, before {B}" in moved
    assert f"shard-1 is ok, serving {C}, before is ok, serving {B}" in moved
    assert "shard-b" not in found["same"]
    text = lines(hosts)
    assert [line for line in text if line.startswith("state: shard-b is not where it was")]
    assert [line for line in text if "the other 5 hosts are where they were" in line]
    assert "status.yml" in text[-1]


def links_only(told: dict[str, Any]) -> None:
    told["links"] = {**told["links"], "shard": look("shard-b", C, B)["links"]["shard"]}


MOVES = {
    "its links": (links_only, f"shard/previous names {B}, before {A}"),
    "a silent service": (
        lambda told: told["health"].update({"shard-1": {"status": "silent"}}),
        "shard-1 is silent, serving nothing",
    ),
    "another generation": (
        lambda told: told["health"]["shard-1"].update(generations={"current": C}),
        f"serving {C}",
    ),
    "another release": (lambda told: told.update(release="2.0"), "its release is 2.0, before 1.0"),
}


@pytest.mark.parametrize("move", MOVES)
def test_links_health_and_release_are_compared(hosts: dict[str, Any], move: str) -> None:
    change, words = MOVES[move]
    change(now(hosts, "shard-b"))
    [moved] = verdict(hosts)["moved"]
    assert words in moved


def test_what_was_not_well_before_is_not_held_against_the_change(hosts: dict[str, Any]) -> None:
    was = hosts["shard-b"]["activation_look"]["look"]
    was["health"]["shard-1"] = {"status": "silent"}
    assert "shard-b" in verdict(hosts)["same"]


@pytest.mark.parametrize("told", [{"unreachable": True}, {"failed": True, "msg": "no"}, None])
def test_a_host_that_could_not_be_asked_is_said_to_be_unknown(
    hosts: dict[str, Any], told: Any
) -> None:
    hosts["shard-a"]["activation_after"] = told
    [unknown] = verdict(hosts)["unknown"]
    assert unknown == (
        f"shard-a could not be asked: before, it served {B}; what it serves now is not known"
    )
    assert "status.yml" in lines(hosts)[-1]
    del hosts["shard-a"]["activation_look"]
    [unknown] = verdict(hosts)["unknown"]
    assert unknown == "shard-a could not be asked: what it serves now is not known"


def test_a_host_that_was_not_asked_before_is_said_to_be(hosts: dict[str, Any]) -> None:
    hosts["shard-a"]["activation_look"] = {"unreachable": True}
    [moved] = verdict(hosts)["moved"]
    assert moved == f"shard-a serves {B}; what it served before is not known"


def test_entries_that_the_journal_misses_are_said(hosts: dict[str, Any]) -> None:
    why = "/j misses this change: No space left on device"
    hosts["shard-a"]["ansible_facts"] = {"activation_switched_shard": {"unwritten": why}}
    hosts["shard-b"]["activation_unwritten"] = ["", why, why]
    hosts["gateway-1"]["services_rollout"] = {"failed": True, "unwritten": why}
    hosts["gateway-2"]["services_back"] = {"skipped": True}
    hosts["encoder-1"]["activation_switched_encoder"] = {"unwritten": ""}
    assert summary.askfleet_unwritten(hosts, MEMBERS) == [
        f"{host}: {why}" for host in ("shard-a", "shard-b", "gateway-1")
    ]
    assert f"journal: shard-a: {why} (and 2 more)" in lines(hosts)


def test_what_stays_staged_is_said(hosts: dict[str, Any]) -> None:
    assert summary.askfleet_staged(hosts, MEMBERS, C) == []
    now(hosts, "shard-a")["held"]["generations"][C] = {}
    now(hosts, "shard-b")["unfinished"] = [f".staging-{C}"]
    now(hosts, "gateway-1")["held"]["generations"][C] = {}
    now(hosts, "gateway-1")["links"]["gateway"]["current"] = f"/srv/{C}"
    assert summary.askfleet_staged(hosts, MEMBERS, C) == ["shard-a", "shard-b"]
    [line] = [line for line in lines(hosts) if line.startswith("staged: ")]
    assert f"{C} stays on shard-a, shard-b" in line
    assert "prune.yml" in line


def test_without_a_reason_none_is_made_up(hosts: dict[str, Any]) -> None:
    assert "why: no reason was noted: see the plays above" in lines(hosts, faults=[])


def test_many_reasons_are_counted(hosts: dict[str, Any]) -> None:
    text = lines(hosts, faults=[f"shard-{n}: no" for n in range(9)])
    why = [line for line in text if line.startswith("why: ")]
    assert why == [
        "why: shard-0: no",
        "why: shard-1: no",
        "why: shard-2: no (and 6 more, shown above)",
    ]


HISTORIES = list(
    itertools.product((0, 1, 3, 40), (0, 1, 6), (0, 1, 6), (0, 9), (0, 3), (0, 2), (10, 2000))
)


@pytest.mark.parametrize("many", HISTORIES)
def test_no_history_takes_more_than_ten_lines(many: tuple[int, ...]) -> None:
    faults, moved, unknown, unwritten, staged, locks, width = many

    def texts(count: int) -> list[str]:
        return [f"host-{n}:\n {'x' * width}" for n in range(count)]

    found = summary.askfleet_summary(
        {
            "what": "rollback to X",
            "faults": texts(faults),
            "verdict": {
                "same": ["a"] * (12 - moved - unknown),
                "moved": texts(moved),
                "unknown": texts(unknown),
                "live": [B] if moved else [],
            },
            "unwritten": texts(unwritten),
            "staged": [f"host-{n}" for n in range(staged)],
            "generation": "X",
            "locks": texts(locks),
        }
    )
    assert len(found) <= summary.LINES
    assert max(map(len, found)) <= 241
    assert not [line for line in found if "\n" in line]
    text = " ".join(found)
    assert found[0] == "Rollback to X failed."
    assert ("why: host-0" in text) == bool(faults)
    assert ("all 12 hosts are where they were" in text) == (moved + unknown == 0)
    assert ("journal: " in text) == bool(unwritten)
    assert ("staged: " in text) == bool(staged)
    assert ("lock: " in text) == bool(locks) or width > 1000
    assert found[-1].startswith("next: ")


def test_what_was_removed_is_told_by_host() -> None:
    told = {
        "shard-a": {"staging_pruned": {"removed": ["/srv/x", "/srv/y"]}},
        "shard-b": {"staging_pruned": {"removed": []}},
        "gateway-1": {"staging_pruned": {"skipped": True}},
        "gateway-2": {},
    }
    assert summary.askfleet_removed(told, list(told)) == ["shard-a: /srv/x, /srv/y"]

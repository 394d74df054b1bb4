"""What differs from the rest of the fleet stands out in the table, and is named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_sources import Run, load_filter
from fleet_looks import DATA, FLEET, GROUPS, M1, A, B, links, looks
from tripwire import fleet_behind_a_tripwire

from client.status import COLUMNS

judge = load_filter("status")
RELEASE = "1.0-00000001"


@pytest.fixture
def fleet() -> dict[str, Any]:
    """A fleet that serves B, and A before it."""
    seen = looks((B, A), (M1,))
    for one in seen.values():
        one.update(release=RELEASE, drained=[], journal=[])
        for body in one["health"].values():
            body["release"] = RELEASE
    return seen


def status(seen: dict[str, Any]) -> dict[str, Any]:
    looked = {host: {"look": one} for host, one in seen.items()}
    told: dict[str, Any] = judge.askfleet_status(FLEET, looked, GROUPS)
    return told


def row_of(told: dict[str, Any], host: str, service: str) -> str:
    [row] = [line for line in told["lines"] if line.split()[:2] == [host, service]]
    return str(row)


def test_a_fleet_at_rest_has_no_faults(fleet: dict[str, Any]) -> None:
    told = status(fleet)
    assert told["faults"] == []
    assert not [line for line in told["lines"] if "<-" in line]
    assert len(told["lines"]) == 1 + sum(len(h["services"]) for h in FLEET["hosts"].values())
    row = row_of(told, "shard-a", "shard-1").split()
    assert row[2:5] == [RELEASE, B, A]
    assert told["serves"] == f"The gateways serve {B}, model {M1}, release {RELEASE}."


def test_a_fleet_before_its_first_index_has_none_either(fleet: dict[str, Any]) -> None:
    for one in fleet.values():
        one["links"] = {kind: links() for kind in one["links"]}
        for body in one["health"].values():
            body.clear()
            body["status"] = "silent"
    told = status(fleet)
    assert told["faults"] == []
    assert "waits for an index" in row_of(told, "gateway-1", "gateway")


def test_after_a_rollback_nothing_is_inconsistent(fleet: dict[str, Any]) -> None:
    for host in GROUPS["gateways"]:
        fleet[host]["links"]["gateway"] = links(A, B)
        fleet[host]["health"]["gateway"]["generations"] = {"current": A, "previous": B}
    told = status(fleet)
    assert told["faults"] == []
    assert f"serve {A}" in told["serves"]
    assert "rolled back" in told["serves"]


def change_release(one: dict[str, Any]) -> None:
    one["release"] = "0.9-00000000"


def change_health(**members: Any) -> Any:
    return lambda one: one["health"]["shard-1"].update(members)


def change_links(current: str, previous: str) -> Any:
    def change(one: dict[str, Any]) -> None:
        one["links"]["shard"] = links(current, previous)
        ids = {"current": current, "previous": previous or None}
        one["health"]["shard-1"]["generations"] = ids

    return change


FAULTS = {
    "another release": (change_release, f"others run release {RELEASE}"),
    "a silent service": (change_health(status="silent"), "it is silent"),
    "a broken service": (
        change_health(status="broken", fault="documents.bin cannot be read"),
        "it is broken: documents.bin cannot be read",
    ),
    "a directory that is gone": (
        lambda one: one["held"]["generations"].pop(B),
        f"{DATA}/generations/{B} is not on its disk",
    ),
    "a damaged file": (
        lambda one: one.update(damage={"shard-1": ["index.faiss does not match its sha256"]}),
        "index.faiss does not match its sha256",
    ),
    "a stale process": (change_health(release="0.9-0"), "it was started with release 0.9-0"),
    "not what its link says": (
        change_health(generations={"current": A, "previous": B}),
        f"it serves {A}, not what its link says",
    ),
    "another generation": (change_links(A, B), f"others serve {B}"),
    "without what gateways ask for": (change_links(A, ""), f"it has not loaded {B}"),
    "a dangling link": (
        lambda one: (
            one.update(dangling=["shard/current"]),
            one["health"]["shard-1"].update(status="silent"),
        ),
        "its link shard/current is dangling: what it names is gone",
    ),
    "a dangling link of what still runs": (
        lambda one: one.update(dangling=["shard/previous", "gateway/current"]),
        "its link shard/previous is dangling",
    ),
    "drained": (lambda one: one["drained"].append("shard-1"), "it is drained"),
    "masked": (
        lambda one: one["units"]["shard-1"].update(LoadState="masked"),
        "its unit is masked",
    ),
    "disabled": (
        lambda one: one["units"]["shard-1"].update(UnitFileState="disabled"),
        "it will not start at boot",
    ),
    "without a link": (
        lambda one: one["links"].update(shard=links()),
        "it has nothing to serve",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_differs_stands_out(fleet: dict[str, Any], fault: str) -> None:
    change, words = FAULTS[fault]
    change(fleet["shard-b"])
    told = status(fleet)
    assert [one for one in told["faults"] if one.startswith("shard-b: shard-1") and words in one]
    assert f"<- {words}" in row_of(told, "shard-b", "shard-1") or words in row_of(
        told, "shard-b", "shard-1"
    )
    assert "<-" not in row_of(told, "shard-a", "shard-0")


def test_gateways_that_differ_stand_out(fleet: dict[str, Any]) -> None:
    fleet["gateway-2"]["links"]["gateway"] = links(A, "")
    fleet["gateway-2"]["health"]["gateway"]["generations"] = {"current": A, "previous": None}
    assert [one for one in status(fleet)["faults"] if one.startswith("gateway-")]


def test_a_host_that_does_not_answer_stands_out(fleet: dict[str, Any]) -> None:
    looked = {host: {"look": one} for host, one in fleet.items()}
    looked["shard-b"] = {"unreachable": True}
    told = judge.askfleet_status(FLEET, looked, GROUPS)
    assert told["faults"] == ["shard-b: it does not answer (ssh)"]


def test_a_lock_is_named_once_with_its_holder(fleet: dict[str, Any]) -> None:
    holder = {"run": "r-1", "by": "anna@desk", "since": "2026-11-01", "what": "update to X"}
    for host in GROUPS["gateways"]:
        fleet[host]["lock"] = holder
    [fault] = status(fleet)["faults"]
    for word in ("anna@desk", "2026-11-01", "update to X"):
        assert word in fault


def test_history_is_told_in_order_of_time(fleet: dict[str, Any]) -> None:
    entry = {"what": "update to X", "kind": "shard", "result": "ok", "seconds": 1.5, "by": "anna@d"}
    later = {**entry, "time": "2026-11-02", "to": {"current": f"/srv/{B}", "previous": ""}}
    fleet["shard-a"]["journal"] = [later]
    fleet["shard-b"]["journal"] = [{**entry, "time": "2026-11-01", "to": RELEASE}]
    looked = {host: {"look": one} for host, one in fleet.items()}
    lines = judge.askfleet_history(looked)
    assert [line.split()[:2] for line in lines[1:]] == [
        ["2026-11-01", "shard-b"],
        ["2026-11-02", "shard-a"],
    ]
    assert RELEASE in lines[1]
    assert B in lines[2]


def test_who_cannot_start_for_a_dangling_link_is_not_called_silent(fleet: dict[str, Any]) -> None:
    fleet["shard-b"].update(dangling=["shard/current"])
    fleet["shard-b"]["health"]["shard-1"] = {"status": "silent"}
    assert [fault for fault in status(fleet)["faults"] if "silent" in fault] == []


@pytest.mark.slow
def test_the_table_is_written_down_for_programs(play: Run, tmp_path: Path) -> None:
    hosts, _ = fleet_behind_a_tripwire(tmp_path)
    file = tmp_path / "status.json"
    done = play("-i", hosts, "status.yml", "--check", "-e", f"status_file={file}")
    assert done.returncode == 2, done.stdout + done.stderr
    told = json.loads(file.read_text())
    assert list(told) == ["serves", "rows", "notes", "faults"]
    assert list(told["rows"][0]) == [*judge.HEAD, "faults"]
    assert told["faults"][0] == "gateway-1: it does not answer (ssh)"
    assert " changed=0 " in done.stdout


@pytest.mark.parametrize("how", [["--json"], []])
@pytest.mark.slow
def test_the_command_shows_the_table_alone(tmp_path: Path, how: list[str]) -> None:
    hosts, _ = fleet_behind_a_tripwire(tmp_path)
    command = [Path(sys.executable).parent / "askfleet", "status", "-i", hosts.name, *how]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr == ""
    assert "PLAY" not in done.stdout
    if how:
        assert len(json.loads(done.stdout)["rows"]) == 3
    else:
        assert done.stdout.split()[: len(COLUMNS)] == list(COLUMNS)
        assert "<- shard-a: it does not answer (ssh)" in done.stdout


@pytest.mark.slow
def test_the_command_says_why_there_is_no_table(tmp_path: Path) -> None:
    hosts, _ = fleet_behind_a_tripwire(tmp_path, ids="[9]")
    command = [Path(sys.executable).parent / "askfleet", "status", "-i", hosts, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "status.yml failed." in done.stderr
    assert done.stderr.splitlines()[-1] == "error: status.yml ended with 2"


def test_the_command_has_the_columns_of_the_table() -> None:
    assert judge.HEAD == COLUMNS

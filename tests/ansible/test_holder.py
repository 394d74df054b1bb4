"""Who holds the lock, and whether that run is known to have ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_sources import load_filter

holder = load_filter("holder")


@pytest.fixture
def mine() -> dict[str, str]:
    found: dict[str, str] = holder.askfleet_holder("update to X")
    return found


def process_of(pid: int) -> str:
    return f"{pid} {holder._started(pid)}"


def test_a_holder_says_who_what_and_since_when(mine: dict[str, str]) -> None:
    assert mine["what"] == "update to X"
    assert "@" in mine["by"]
    assert mine["since"].endswith("Z")
    assert mine["run"].endswith(f"-{os.getpid()}")
    assert mine["process"].split()[0] == str(os.getpid())


def test_a_run_that_goes_on_has_not_ended(mine: dict[str, str]) -> None:
    assert not holder.askfleet_ended(mine)


def test_a_process_that_has_ended_is_known(mine: dict[str, str]) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        held = {**mine, "process": process_of(process.pid)}
        assert not holder.askfleet_ended(held)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert holder.askfleet_ended(held), "ended, but nobody has waited for it yet"
    assert holder.askfleet_ended(held)


def test_a_reused_pid_is_another_process(mine: dict[str, str]) -> None:
    pid, started = mine["process"].split()
    assert holder.askfleet_ended({**mine, "process": f"{pid} {int(started) - 1}"})


@pytest.mark.parametrize(
    "change",
    [
        {"machine": "another"},
        {"machine": None},
        {"process": "gone"},
        {"process": ""},
    ],
)
def test_of_others_nothing_is_known(mine: dict[str, str], change: dict[str, Any]) -> None:
    assert not holder.askfleet_ended({**mine, "process": "999999999 1", **change})
    assert not holder.askfleet_ended({"run": "unreadable", "by": "an unreadable file"})


def test_containers_of_one_kernel_are_not_one_machine(mine: dict[str, str]) -> None:
    """They share the boot id, but a pid means another process in each."""
    assert str(Path("/proc/self/ns/pid").readlink()) in mine["machine"]
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert not holder.askfleet_ended({**mine, "machine": boot, "process": "999999999 1"})


def test_a_worker_belongs_to_its_playbook(tmp_path: Path) -> None:
    """A play's filter runs in a forked worker, and another task's in the next."""
    book = tmp_path / "ansible-playbook"
    book.write_text("import os\nif not os.fork():\n    input()\nelse:\n    os.wait()\n")
    with subprocess.Popen(
        [sys.executable, book], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as play:
        children = Path(f"/proc/{play.pid}/task/{play.pid}/children")
        worker = ""
        while not worker:
            worker = children.read_text().strip()
        assert holder._leader(int(worker)) == play.pid
        play.communicate(b"\n")


def test_who_holds_the_lock_is_told_once_with_the_way_out(mine: dict[str, str]) -> None:
    other = {**mine, "machine": "another", "by": "anna@desk"}
    faults = holder.askfleet_lock_faults(
        {"gateway-1": {"lock": other}, "gateway-2": {"lock": other}, "shard-a": {"lock": {}}}
    )
    [fault] = faults
    assert fault.startswith(f"anna@desk has held the lock since {mine['since']} (update to X)")
    assert "-e break_lock=true" in fault


def test_a_lock_of_a_run_that_has_ended_is_no_fault(mine: dict[str, str]) -> None:
    ended = {**mine, "process": "999999999 1"}
    assert holder.askfleet_lock_faults({"gateway-1": {"lock": ended}}) == []


def test_a_damaged_lock_is_somebodys() -> None:
    damaged = {"run": "unreadable", "by": "an unreadable file"}
    [fault] = holder.askfleet_lock_faults({"gateway-1": {"lock": damaged}})
    assert fault.startswith("an unreadable file has held the lock since ?")

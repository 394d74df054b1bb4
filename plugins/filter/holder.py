"""Filters about who holds the fleet's lock: this run, and whether another one still runs."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]


def askfleet_holder(what: str) -> dict[str, str]:
    """Describe who runs this play; by `machine` and `process` others tell whether it still runs."""
    leader = _leader(os.getpid())
    return {
        "run": f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{leader}",
        "by": f"{getpass.getuser()}@{socket.gethostname()}",
        "what": what,
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": _machine(),
        "process": f"{leader} {_started(leader)}",
    }


def askfleet_ended(holder: Json) -> bool:
    """Whether a lock's holder has ended for sure: of this machine and boot, and not running."""
    pid, _, started = str(holder.get("process", "")).partition(" ")
    return holder.get("machine") == _machine() and pid.isdigit() and _started(int(pid)) != started


def askfleet_lock_faults(looks: Mapping[str, Json]) -> list[str]:
    """Name whoever holds the lock and may still run: since when, for what, and the way out."""
    holders = [look["lock"] for look in looks.values() if look["lock"]]
    faults = [
        f"{holder.get('by', 'somebody')} has held the lock since {holder.get('since', '?')} "
        f"({holder.get('what', '?')}): wait until that has ended, or say -e break_lock=true "
        "where you know that it has"
        for holder in holders
        if not askfleet_ended(holder)
    ]
    return list(dict.fromkeys(faults))


def _machine() -> str:
    """This machine since it booted; containers of one kernel differ in what a pid means."""
    boot, pids = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if not boot.exists():
        return socket.gethostname()
    return f"{boot.read_text(encoding='ascii').strip()} {pids.readlink()}"


def _started(pid: int) -> str:
    """When a process started, in clock ticks since boot; "" where there is none (proc(5))."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _leader(pid: int) -> int:
    """The ansible-playbook that a worker process belongs to."""
    while True:
        try:
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            command = Path(f"/proc/{parent}/cmdline").read_bytes()
        except (OSError, ValueError):
            return pid
        if not any(word.endswith(b"/ansible-playbook") for word in command.split(b"\0")[:2]):
            return pid
        pid = parent


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by the name templates call them."""
        return {
            "holder": askfleet_holder,
            "ended": askfleet_ended,
            "lock_faults": askfleet_lock_faults,
        }

"""CPU time and memory of process trees, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> tuple[int, float] | None:
    """A process's parent, and the CPU seconds of it and of its children that have ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), sum(map(int, fields[11:15])) / TICKS


def tree(roots: Iterable[int]) -> list[int]:
    """The processes ``roots`` and all that descend from them."""
    parents = {int(p.name): s[0] for p in Path("/proc").glob("[0-9]*") if (s := _stat(int(p.name)))}
    found = {pid for pid in roots if pid in parents}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def cpu_seconds(roots: Iterable[int]) -> float:
    """CPU seconds, user and system, that the trees have used so far."""
    return sum(stat[1] for pid in tree(roots) if (stat := _stat(pid)))


def megabytes(roots: Iterable[int]) -> float:
    """Memory of the trees: proportional set size, so that what processes share counts once."""
    total = 0
    for pid in tree(roots):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024 / 1e6

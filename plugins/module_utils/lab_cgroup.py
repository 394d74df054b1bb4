"""Control groups of a lab: the kernel's own record of which processes are ours.

Every lab daemon runs in `askfleet-lab/<lab>/<daemon>` of the hierarchy that systemd uses (cgroup
v2, or v1's `name=systemd`, or both on a hybrid machine). Membership survives exec and forks and
cannot be taken over by a recycled process id, so a process in that group is ours and any other
process is not.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

TOP = "askfleet-lab"


def hierarchies() -> dict[str, Path]:
    """Return where the hierarchies that systemd uses are mounted: `{controllers: directory}`."""
    found: dict[str, Path] = {}
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, mount_point, kind, options, *_ = line.split()
        if kind == "cgroup2":
            found.setdefault("", Path(mount_point))
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            found.setdefault("name=systemd", Path(mount_point))
    return found


class Cgroup:
    """One group below `askfleet-lab`, in every hierarchy that systemd uses."""

    def __init__(self, name: str) -> None:
        self._roots = hierarchies()
        self._directories = [root / TOP / name for root in self._roots.values()]

    def children(self) -> set[str]:
        """Return the names of the groups directly below this one."""
        return {
            child.name
            for directory in self._directories
            if directory.is_dir()
            for child in directory.iterdir()
            if child.is_dir()
        }

    def pids(self) -> set[int]:
        """Return the ids of all processes in this group and below it."""
        found: set[int] = set()
        for directory in self._directories:
            for parent, _, _ in os.walk(directory):
                with contextlib.suppress(OSError):  # the group may vanish while we look
                    text = (Path(parent) / "cgroup.procs").read_text(encoding="ascii")
                    found.update(int(pid) for pid in text.split())
        return found - {0, os.getpid()}

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Run the body in this group, so that the processes it starts are born there.

        Raises:
            OSError: the group cannot be made or joined.
        """
        own = dict(
            line.split(":", 2)[1:]
            for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        )
        try:
            for directory in self._directories:
                directory.mkdir(parents=True, exist_ok=True)
                _enter(directory)
            yield
        finally:
            for controllers, root in self._roots.items():
                _enter(root / own[controllers].lstrip("/"))

    def kill(self) -> None:
        """Send SIGKILL to every process in this group."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def remove(self) -> None:
        """Remove the (empty) group, what is below it, and parents that nobody uses any more."""
        for directory in self._directories:
            for below, _, _ in os.walk(directory, topdown=False):
                with contextlib.suppress(FileNotFoundError):
                    Path(below).rmdir()
            for parent in directory.parents:
                if parent.name == "cgroup" or TOP not in parent.parts:
                    break
                with contextlib.suppress(OSError):  # another lab or host lives there
                    parent.rmdir()


def _enter(directory: Path) -> None:
    (directory / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")

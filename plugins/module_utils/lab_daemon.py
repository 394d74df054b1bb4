"""A background process of a lab: started detached, found again, stopped completely."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ansible_collections.askfleet.fleet.plugins.module_utils.lab_cgroup import Cgroup

Run = Callable[..., tuple[int, str, str]]
"""`AnsibleModule.run_command`."""

_TICK = 0.05  # seconds between two looks at something that is about to change


class Daemon:
    """One process with its children, known by its control group and, for people, by a pid file."""

    def __init__(self, lab: str, name: str, run_dir: Path) -> None:
        self.name = name
        self.log = run_dir / f"{name}.log"
        self._pidfile = run_dir / f"{name}.pid"
        self._cgroup = Cgroup(f"{lab}/{name}")

    def pid(self) -> int | None:
        """Return the recorded process id if that process lives and is ours, else None."""
        try:
            pid = int(self._pidfile.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return None
        return pid if pid in self._cgroup.pids() else None

    def leftovers(self) -> bool:
        """Tell whether any process of this daemon lives, its recorded one or another."""
        return bool(self._cgroup.pids())

    def start(self, run: Run, command: Sequence[str]) -> None:
        """Start `command` in the background, its output in the log.

        Raises:
            OSError: the control group cannot be joined.
        """
        self._pidfile.parent.mkdir(parents=True, exist_ok=True)
        with self._cgroup.joined():
            run(
                [
                    "start-stop-daemon",
                    "--start",
                    "--background",
                    "--make-pidfile",
                    f"--pidfile={self._pidfile}",
                    f"--output={self.log}",
                    "--oknodo",
                    "--startas=/usr/bin/env",  # which looks the command up and becomes it
                    "--",
                    *command,
                ],
                check_rc=True,
            )

    def terminate(self) -> None:
        """Ask the recorded process to stop, and do not wait for it."""
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def forget(self) -> None:
        """Remove the records of a daemon that has stopped."""
        self._cgroup.remove()
        self._pidfile.unlink(missing_ok=True)

    def kill(self) -> None:
        """Kill every process of this daemon at once."""
        self._cgroup.kill()


def stop(daemons: Iterable[Daemon], *, patience: float) -> None:
    """Stop daemons side by side: ask, wait at most `patience` seconds, then kill.

    Raises:
        TimeoutError: a process outlived SIGKILL by ten seconds.
    """
    daemons = list(daemons)
    for daemon in daemons:
        daemon.terminate()
    wait_until(lambda: not any(d.pid() and d.leftovers() for d in daemons), patience)
    for daemon in daemons:
        daemon.kill()
    if not wait_until(lambda: not any(d.leftovers() for d in daemons), 10):
        stuck = [d.name for d in daemons if d.leftovers()]
        raise TimeoutError(f"processes of {', '.join(stuck)} do not end, not even by SIGKILL")
    for daemon in daemons:
        daemon.forget()


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll `condition` for at most `seconds`; return whether it came true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_TICK)
    return True


def same_namespace(pid: int, namespace: Path) -> bool:
    """Tell whether process `pid` lives in the network namespace named by the file `namespace`."""
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino == namespace.stat().st_ino
    except FileNotFoundError:
        return False

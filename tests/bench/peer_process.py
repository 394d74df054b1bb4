"""The processes of a peer: started with a log, awaited, ended."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PATIENCE = 120.0
LOG_END = 4000

Process = subprocess.Popen[bytes]


class PeerError(RuntimeError):
    """A peer did not load its documents or does not answer; carries the end of its log."""


def environment(**more: str) -> dict[str, str]:
    """Where the peer's processes find askfleet's engine and their own modules."""
    path = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    return {**os.environ, "PYTHONPATH": path, **more}


def spawn(
    command: Sequence[str | Path], log: Path, *, who: Mapping[str, Any] | None = None, **more: str
) -> Process:
    """Start a process in a session of its own; ``more`` is its environment, ``who`` its account."""
    with log.open("wb") as sink:
        return subprocess.Popen(
            command,
            env=environment(**more),
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **(who or {}),
        )


def await_until(ready: Callable[[], bool], process: Process, log: Path) -> None:
    """Wait until ``ready``; raises with the end of the log when the process ends or is late."""
    deadline = time.monotonic() + PATIENCE
    while not ready():
        status = process.poll()
        if status is not None or time.monotonic() > deadline:
            fate = "does not answer" if status is None else f"ended with {status}"
            raise PeerError(f"{process.args!r} {fate}:\n{end_of(log)}")
        time.sleep(0.02)


def end_of(log: Path) -> str:
    """The last lines of a log."""
    return log.read_text(errors="replace")[-LOG_END:]


def stop(processes: Sequence[Process]) -> None:
    """End processes with all that share their sessions' groups, in the order given."""
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True

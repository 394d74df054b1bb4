"""Callback: while files are sent, how far each host is; afterwards, what it took."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: sending
type: aggregate
short_description: Show bytes, rate and time left of what is sent to each host
description:
  - On a terminal, a line for each host below the play's output, every second. Elsewhere nothing but
    the line that every host has at the end, with bytes, seconds and rate.
  - It watches rsync from outside, in /proc, so that nothing waits for it. A task names the host and
    the bytes that are wanted there in the environment variable C(ASKFLEET_SENDS).
  - Ansible loads this plugin by itself, because a link to its directory lies beside the playbooks.
"""

MARK = b"ASKFLEET_SENDS="  # "host bytes"; 0 bytes where nobody knows how many
EVERY = 1.0  # seconds between two looks
_RECENT = 6  # looks that a rate is made of
_TOTALS = ("Total bytes sent: ", "Total bytes received: ")  # rsync --stats


class Sending(NamedTuple):
    """What rsync has written for a host, and how much that will be at most, in bytes."""

    done: int
    wanted: int


def sendings(top: int, proc: Path = Path("/proc")) -> dict[str, Sending]:
    """Look at every rsync below a process; by host, the one that has written most.

    Args:
        top: the process whose descendants count.
        proc: where the kernel tells of processes.
    """
    parents: dict[int, int] = {}
    candidates: list[Path] = []
    for entry in proc.glob("[1-9]*"):
        try:
            _, _, rest = (entry / "stat").read_text().partition(" (")
        except OSError:  # it has ended
            continue
        name, _, fields = rest.rpartition(") ")
        parents[int(entry.name)] = int(fields.split()[1])
        if name == "rsync":
            candidates.append(entry)
    found: dict[str, Sending] = {}
    for entry in candidates:
        pid = int(entry.name)
        while pid not in (0, top):
            pid = parents.get(pid, 0)
        try:
            environ = (entry / "environ").read_bytes().split(b"\0") if pid else []
            written = (entry / "io").read_text().split("wchar: ")[1].split()[0]
        except (OSError, IndexError):
            continue
        for mark in (one for one in environ if one.startswith(MARK)):
            host, wanted = mark.removeprefix(MARK).decode().split()
            told = Sending(int(written), int(wanted))
            found[host] = max(found.get(host, told), told)
    return found


def progress(host: str, looks: Sequence[tuple[float, Sending]]) -> str:
    """Tell how far a host is, by the last looks: pairs of a time in seconds and what was seen."""
    (before, first), (now, last) = looks[0], looks[-1]
    rate = (last.done - first.done) / (now - before) if now > before else 0.0
    # Names of files and checksums are written, too.
    whole = f" of {readable(max(last.wanted, last.done))}" if last.wanted else ""
    told = f"{host}  {readable(last.done)}{whole}"
    if rate:
        told += f"  {readable(rate)}/s"
    if rate and last.wanted > last.done:
        left = round((last.wanted - last.done) / rate)
        told += f"  {left // 60}:{left % 60:02} left"
    return told


def moved(result: Mapping[str, Any]) -> int:
    """Add up the bytes that went over the wire, as rsync says in what a task registered."""
    texts = (str(one.get("msg", "")) for one in result.get("results", [result]))
    lines = (line for text in texts for line in text.splitlines() if line.startswith(_TOTALS))
    return sum(int(line.partition(": ")[2].replace(",", "")) for line in lines)


def readable(count: float) -> str:
    """Write a number of bytes as people read it."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


class Block:
    """Lines below what Ansible has displayed, which go before it displays more.

    Args:
        display: Ansible's; what it displays is preceded by a clearing of the block.
    """

    def __init__(self, display: Any) -> None:
        self._display = display
        self._show = display.display
        self._lock = threading.RLock()
        self._main = os.getpid()
        self._ended = threading.Event()
        display.display = self._displayed
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Clear it, and let Ansible display as before."""
        self._ended.set()
        self._thread.join()
        self._draw([])
        self._display.display = self._show

    def _displayed(self, *arguments: Any, **options: Any) -> None:
        if os.getpid() != self._main:  # a worker, which hands over to this process
            self._show(*arguments, **options)
            return
        with self._lock:
            self._draw([])
            self._show(*arguments, **options)
            sys.stdout.flush()

    def _watch(self) -> None:
        looks: dict[str, deque[tuple[float, Sending]]] = {}
        while not self._ended.wait(EVERY):
            seen, now = sendings(self._main), time.monotonic()
            for host, sending in seen.items():
                past = looks.setdefault(host, deque(maxlen=_RECENT))
                if past and past[-1][1].done > sending.done:  # another rsync
                    past.clear()
                past.append((now, sending))
            self._draw([progress(host, looks[host]) for host in sorted(seen)])

    def _draw(self, lines: Sequence[str]) -> None:
        """Write the lines below the cursor, which stays where Ansible writes next."""
        columns, rows = shutil.get_terminal_size()
        shown = [line[: columns - 3] for line in lines[: rows - 2]]
        text = "\r\033[J" + "\n".join(f"  {line}" for line in shown)
        text += f"\033[{len(shown) - 1}A" if len(shown) > 1 else ""
        with self._lock:
            os.write(sys.stdout.fileno(), f"{text}\r".encode())


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """Knows who is being sent something."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "askfleet.fleet.sending"

    def __init__(self) -> None:
        super().__init__()
        self._begun: dict[str, float] = {}
        self._block: Block | None = None

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Begin to watch."""
        if task.action.rpartition(".")[2] != "synchronize":
            return
        self._begun[host.get_name()] = time.monotonic()
        if self._block is None and sys.stdout.isatty():
            self._block = Block(self._display)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Tell what it took."""
        begun = self._end(result)
        count = moved(result.result) if begun else 0
        if count and begun:
            seconds = time.monotonic() - begun
            rate = readable(count / max(seconds, 0.001))
            host = result.host.get_name()
            self._display.display(f"  {host}: {readable(count)} in {seconds:.1f} s, {rate}/s")

    def v2_runner_on_skipped(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: ARG002  # of one that failed
        """Nothing was sent, or not all of it."""
        self._end(result)

    v2_runner_on_failed = v2_runner_on_unreachable = v2_runner_on_skipped

    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ARG002  # Ansible's own
        """Nothing is sent any more, however the run ended."""
        self._begun.clear()
        self._end(None)

    def _end(self, result: Any) -> float | None:
        """When the host of a result began; the block goes with the last of them."""
        begun = self._begun.pop(result.host.get_name(), None) if result else None
        if self._block and not self._begun:
            self._block.end()
            self._block = None
        return begun

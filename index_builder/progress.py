"""Progress that a person can watch and a log can keep.

On a terminal: a tqdm bar with rate and time left. Elsewhere (CI, a pipe, Ansible): a plain line
every five seconds and one at the end, so that a log stays readable.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn, Protocol, TextIO

from tqdm import tqdm


def show(display: Callable[[str], object], line: str) -> None:
    """Have Ansible display a line of an action plugin.

    Ctrl-C waits until it is out: a worker that ends amid it keeps the lock of the queue that lines
    go through, and the play then waits for that lock for ever.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        display(line)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Bar(Protocol):
    """One step under way."""

    def update(self, amount: int, /) -> object:
        """Count `amount` more units as done."""


@dataclass(slots=True)
class Progress:
    """Where the steps of a build report to.

    Attributes:
        stream: Where lines and bars go; standard error unless told otherwise.
        interval: Seconds between two lines of a step where there is no terminal.
        clock: Seconds that only grow.
    """

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    interval: float = 5.0
    clock: Callable[[], float] = time.monotonic

    def say(self, message: str) -> None:
        """Write one line, above the bar if there is one."""
        tqdm.write(message, file=self.stream)
        self.stream.flush()

    @contextmanager
    def bar(self, what: str, total: int, unit: str, *, done: int = 0) -> Iterator[Bar]:
        """Report one step until the block ends; a step that fails gets no closing line.

        Args:
            what: The step as a verb form: `reading`, `encoding`.
            total: Units in all.
            unit: The unit's plural; `bytes` has a bar in kB, MB, GB.
            done: Units that an earlier run has done; they count for the total, not for the rate.
        """
        if self.stream.isatty():
            size = unit == "bytes"
            bar: tqdm[NoReturn] = tqdm(
                desc=what,
                total=total,
                initial=done,
                unit="B" if size else f" {unit}",
                unit_scale=size,
                file=self.stream,
                dynamic_ncols=True,
            )
            with bar:
                yield bar
            return
        lines = _LineBar(self, what, total, unit, done)
        yield lines
        lines.close()


class _LineBar:
    """The same as lines: `encoding: 12,800 of 31,105 questions (41 %), 310/s, 0:59 left`."""

    def __init__(self, progress: Progress, what: str, total: int, unit: str, done: int) -> None:
        self._progress, self._what, self._total, self._unit = progress, what, total, unit
        self._before = self._done = done
        self._started = self._written = progress.clock()

    def update(self, amount: int, /) -> None:
        self._done += amount
        now = self._progress.clock()
        if now - self._written < self._progress.interval:
            return
        self._written = now
        rate = self._rate(now)
        share = f"{100 * self._done / self._total:.0f} %" if self._total else "100 %"
        left = _duration((self._total - self._done) / rate) if rate else "?"
        self._progress.say(
            f"{self._what}: {self._amount(self._done)} of {self._amount(self._total)} {self._unit}"
            f" ({share}), {self._amount(rate)}/s, {left} left"
        )

    def close(self) -> None:
        now = self._progress.clock()
        self._progress.say(
            f"{self._what}: {self._amount(self._done)} {self._unit}"
            f" in {_duration(now - self._started)}, {self._amount(self._rate(now))}/s"
        )

    def _rate(self, now: float) -> float:
        return (self._done - self._before) / max(now - self._started, 1e-3)

    @staticmethod
    def _amount(value: float) -> str:
        return f"{value:,.1f}" if 0 < value < 10 and value != int(value) else f"{value:,.0f}"


def _duration(seconds: float) -> str:
    """Hours only where there are any: `0:07`, `12:30`, `3:05:00`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

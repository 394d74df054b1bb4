"""The encoder's queue: what waits is encoded together, as many texts a pass as the engine takes.

There is no timer. A text that comes alone is encoded alone; texts that come while passes are under
way are the next pass.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import ProblemError
from app.generation.engine import PassEngine
from app.generation.engines.base import Prepared
from app.generation.model import Side

Vectors = NDArray[np.float32]

# Beside a pass that is under way another begins when so many texts wait; fewer wait for its end,
# and share the next one: a pass of one text costs as much as one of two.
ENOUGH = 4


class Job:
    """One request's texts, by group; ``left`` of them are not encoded yet."""

    def __init__(
        self, engine: PassEngine, texts: int, ends: float | None, check: Callable[[], None]
    ) -> None:
        self.engine = engine
        self.ends = ends
        self.vectors = np.empty((texts, engine.dim), dtype=np.float32)
        self.left = texts
        self.future: Future[Vectors] = Future()
        self._check = check
        self._waiting: dict[int, deque[tuple[int, Prepared]]] = {}

    def wait(self, row: int, text: Prepared) -> None:
        """Let a text wait."""
        self._waiting.setdefault(text.group, deque()).append((row, text))

    @property
    def groups(self) -> list[int]:
        """The groups in which texts of this request wait; none when all are taken."""
        return list(self._waiting)

    def has(self, group: int) -> bool:
        """Whether a text of this group waits."""
        return group in self._waiting

    def take(self, group: int) -> tuple[Job, int, Prepared]:
        """The next text of a group, with its row."""
        texts = self._waiting[group]
        row, text = texts.popleft()
        if not texts:
            del self._waiting[group]
        return self, row, text

    def wanted(self) -> bool:
        """Whether somebody waits for it; the future has the error where nobody does."""
        try:
            if self.ends is not None and time.monotonic() >= self.ends:
                raise late()
            self._check()
        except Exception as error:  # whatever the check says, to the caller alone
            self.fail(error)
        return not self.future.done()

    def fail(self, error: Exception) -> None:
        """Tell the caller; the first to do so is heard."""
        with suppress(InvalidStateError):
            self.future.set_exception(error)


class Batcher:
    """Admits texts while the queue is short, and runs ``passes`` at one time.

    The queue counts texts, not requests, for a text is what costs time. A pass takes texts of all
    requests in turn, so that a long request does not hold back a short one. Its threads start with
    the first text.
    """

    def __init__(self, *, passes: int, largest: int, waiting: int) -> None:
        """``largest`` is how many texts a pass of the current model takes."""
        self.passes = passes
        self._slots = passes * largest
        self._limit = self._slots + waiting
        self._ready = threading.Condition()
        self._queue: deque[Job] = deque()
        self._started = False
        self._pending = 0
        self._running = 0
        self._under_way = 0
        self._refused = 0
        self.on_pass: Callable[[float], None] = lambda _: None
        """Called with the number of texts of each pass."""

    def submit(
        self,
        engine: PassEngine,
        texts: Sequence[str],
        side: Side,
        ends: float | None,
        check: Callable[[], None],
    ) -> Future[Vectors]:
        """Unit vectors (len(texts), dim), when they are there; who waits no more cancels.

        ``ends`` (time.monotonic()) is when nobody waits any more; ``check`` raises when the caller
        has gone, and is asked before each of its texts' passes. An empty queue admits any request.

        Raises: ProblemError 429 when the queue is full, 504 at the deadline; the future has 504 and
        what ``check`` raises.
        """
        if ends is not None and time.monotonic() >= ends:
            raise late()
        self._admit(len(texts))
        job = Job(engine, len(texts), ends, check)
        job.future.add_done_callback(lambda _: self._leave(job))
        try:
            for row, text in enumerate(texts):
                job.wait(row, engine.prepare(text, side))
        except Exception as error:
            job.fail(error)
            return job.future
        with self._ready:
            if not self._started:
                self._started = True
                for _ in range(self.passes):
                    threading.Thread(target=self._work, name="encode", daemon=True).start()
            self._queue.append(job)
            self._ready.notify()
        return job.future

    def statistics(self) -> dict[str, Any]:
        """Texts pending and running now, the limits, and requests refused since the start."""
        with self._ready:
            return {
                "pending": self._pending,
                "limit": self._limit,
                "running": self._running,
                "slots": self._slots,
                "refused": self._refused,
            }

    def _admit(self, texts: int) -> None:
        with self._ready:
            if self._pending and self._pending + texts > self._limit:
                self._refused += 1
                raise ProblemError(
                    429,
                    "overloaded",
                    f"{self._pending} texts are waiting to be encoded, at most {self._limit}",
                    retry_after=1,
                )
            self._pending += texts

    def _leave(self, job: Job) -> None:
        """A request is over, well or not: what is left of it does not wait any more."""
        with self._ready:
            self._pending -= job.left
            job.left = 0
            with suppress(ValueError):
                self._queue.remove(job)

    def _work(self) -> None:
        while True:
            with self._ready:
                while not self._worth():
                    self._ready.wait()
                taken = self._take()
                self._under_way += 1
                self._running += len(taken)
                if self._worth():
                    self._ready.notify()
            try:
                wanted = {job: job.wanted() for job, _, _ in taken}
                self._pass([one for one in taken if wanted[one[0]]])
            finally:
                with self._ready:
                    self._under_way -= 1
                    self._running -= len(taken)
                    self._ready.notify()

    def _worth(self) -> bool:
        """Whether a pass is to begin now."""
        if not self._queue:
            return False
        enough = min(ENOUGH, self._queue[0].engine.largest)
        return not self._under_way or self._pending - self._running >= enough

    def _take(self) -> list[tuple[Job, int, Prepared]]:
        """The texts of the next pass: of one engine and one group, from all requests in turn."""
        first = self._queue[0]
        group = first.groups[0]
        largest = first.engine.most(group)
        taken: list[tuple[Job, int, Prepared]] = []
        turn = [job for job in self._queue if job.engine is first.engine and job.has(group)]
        while turn and len(taken) < largest:
            taken += [job.take(group) for job in turn[: largest - len(taken)]]
            turn = [job for job in turn if job.has(group)]
        self._queue.rotate(-1)
        emptied = {job for job, _, _ in taken if not job.groups}
        if emptied:
            self._queue = deque(job for job in self._queue if job not in emptied)
        return taken

    def _pass(self, texts: list[tuple[Job, int, Prepared]]) -> None:
        """Encode; an error of a pass of many is tried again alone, so that it is one caller's."""
        if not texts:
            return
        self.on_pass(len(texts))
        try:
            vectors = texts[0][0].engine.run([text for _, _, text in texts])
        except Exception as error:  # an engine's runtime raises kinds of its own
            if len(texts) == 1:
                texts[0][0].fail(error)
                return
            for one in texts:
                self._pass([one])
            return
        ready = []
        with self._ready:
            for (job, row, _), vector in zip(texts, vectors, strict=True):
                if job.left:  # it has not left meanwhile
                    job.vectors[row] = vector
                    job.left -= 1
                    self._pending -= 1
                    if not job.left:
                        ready.append(job)
        for job in ready:
            with suppress(InvalidStateError):  # cancelled at the last moment
                job.future.set_result(job.vectors)


def late() -> ProblemError:
    """The caller's deadline has passed."""
    return ProblemError(504, "deadline", "the caller's time is up", retry_after=1)

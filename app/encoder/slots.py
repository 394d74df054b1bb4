"""The encoder's queue: a bounded number of texts waits for a bounded number of forward passes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from app.errors import ProblemError

Turn = Callable[[float | None], AbstractContextManager[None]]


class Slots:
    """Admits texts while the queue is short, and lets ``concurrent`` of them run at one time.

    The queue counts texts, not requests, for a text is what costs time. Slots are taken text by
    text, so that a long request does not hold back a short one.
    """

    def __init__(self, *, concurrent: int, waiting: int) -> None:
        self._slots = threading.BoundedSemaphore(concurrent)
        self._lock = threading.Lock()
        self._concurrent = concurrent
        self._limit = concurrent + waiting
        self._pending = 0
        self._running = 0
        self._refused = 0

    @contextmanager
    def admit(self, texts: int) -> Iterator[Turn]:
        """Enter the queue with so many texts; yields ``turn(ends)``, a context for each.

        An empty queue admits any request. Raises: ProblemError 429 when the queue is full.
        """
        with self._lock:
            if self._pending and self._pending + texts > self._limit:
                self._refused += 1
                raise ProblemError(
                    429,
                    "overloaded",
                    f"{self._pending} texts are waiting to be encoded, at most {self._limit}",
                    retry_after=1,
                )
            self._pending += texts
        left = texts

        @contextmanager
        def turn(ends: float | None) -> Iterator[None]:
            nonlocal left
            timeout = None if ends is None else ends - time.monotonic()
            if (timeout is not None and timeout <= 0) or not self._slots.acquire(timeout=timeout):
                raise ProblemError(504, "deadline", "the caller's time is up", retry_after=1)
            with self._lock:
                self._running += 1
            try:
                yield
            finally:
                self._slots.release()
                with self._lock:
                    self._running -= 1
                    self._pending -= 1
                left -= 1

        try:
            yield turn
        finally:
            with self._lock:
                self._pending -= left

    def statistics(self) -> dict[str, Any]:
        """Texts pending and running now, the limits, and requests refused since the start."""
        with self._lock:
            return {
                "pending": self._pending,
                "limit": self._limit,
                "running": self._running,
                "slots": self._concurrent,
                "refused": self._refused,
            }

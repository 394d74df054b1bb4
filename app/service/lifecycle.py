"""The life of a service process: starting, ready, stopping; and drained by a flag file."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from app.service.breaker import Breaker
from app.service.siblings import Siblings


class Lifecycle:
    """State that the health pages show and the gunicorn worker changes.

    A *stopping* service still answers what reaches it, but its readiness is 503. A *drained*
    service (its flag file exists) refuses everything but health pages and canaries, so that nginx
    asks another replica; the flag outlives a restart. A *broken* one cannot answer (``breaker``).
    """

    def __init__(self, drain_file: Path, breaker: Breaker, unit: str = "") -> None:
        self.breaker = breaker
        self.unit = unit
        self._path = str(drain_file)
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self.started = time.monotonic()
        self.informed = True
        """Whether it knows what it may answer with; a gateway asks the shards when it starts."""
        self.siblings: Siblings | None = None
        """The unit's other processes; set by the worker where there are any."""

    def mark_ready(self) -> None:
        """The index or model is loaded and a self-query has passed."""
        self._ready.set()

    def mark_stopping(self) -> None:
        """SIGTERM came; requests in flight finish."""
        self._stopping.set()

    @property
    def drained(self) -> bool:
        """Whether the operator took this service out of its pools."""
        return os.path.exists(self._path)  # noqa: PTH110  # at every request, and half of Path.exists

    def status(self, *, canary: bool = False) -> str:
        """``starting``, ``broken``, ``draining`` or ``ok``; a canary sees no drain flag."""
        if not self._ready.is_set() or not self.informed:
            return "starting"
        if self.breaker.fault:
            return "broken"
        if self._stopping.is_set() or (not canary and self.drained):
            return "draining"
        return "ok"

    @property
    def uptime(self) -> float:
        """Seconds since the process started."""
        return time.monotonic() - self.started

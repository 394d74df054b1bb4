"""Takes a broken replica out of service, and brings it back when it can answer again.

Two kinds of failure are told apart:

- *Damage*: the index or the store cannot be read. The replica refuses every question until the
  one that failed can be answered again.
- *Unforeseen errors*: they may be the fault of one question. After several in a row the replica
  is broken for health pages and metrics, but goes on trying: nginx asks the next replica whenever
  it fails, and an answer ends the fault.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

# Unforeseen errors without an answer between them, after which the replica is broken.
IN_A_ROW = 3
# How often a broken replica asks itself, in seconds.
PROBE_SECONDS = 1.0
# So long without another unforeseen error, in seconds, before the self-query decides.
QUIET_SECONDS = 10.0


class Breaker:
    """The fault of one replica. Safe for threads.

    Attributes:
        fault: what is wrong, one line; empty while nothing is.
        refuses: whether questions are refused because of it.

    Args:
        self_query: asks everything that is loaded one question; raises where that fails.
        probe_seconds: how often a broken replica asks itself.
        quiet_seconds: how long there must have been no unforeseen error before it does.
    """

    def __init__(
        self,
        self_query: Callable[[], object],
        *,
        probe_seconds: float = PROBE_SECONDS,
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        self.fault = ""
        self.refuses = False
        self._self_query = self_query
        self._probe_seconds = probe_seconds
        self._quiet_seconds = quiet_seconds
        self._in_a_row = 0
        self._quiet_at = 0.0
        self._lock = threading.Lock()

    def damaged(self, fault: str, again: Callable[[], object]) -> None:
        """The index or the store failed; ``again`` asks once more what failed."""
        with self._lock:
            if self.refuses:
                return
            self._break(fault)
            self.refuses = True
        self._watch(again)

    def unforeseen(self, fault: str) -> None:
        """A question ended in an unforeseen error."""
        with self._lock:
            self._in_a_row += 1
            self._quiet_at = time.monotonic() + self._quiet_seconds
            if self.fault or self._in_a_row < IN_A_ROW:
                return
            self._break(f"{self._in_a_row} unforeseen errors in a row, the last: {fault}")
        self._watch(self._self_query)

    def answered(self) -> None:
        """A question was answered."""
        self._in_a_row = 0
        if self.fault:
            self._mend(damage=False)

    def _break(self, fault: str) -> None:
        self.fault = fault
        log.error("out of service: %s", fault)

    def _mend(self, *, damage: bool) -> None:
        """End a fault of this kind, and no other that came meanwhile."""
        with self._lock:
            if not self.fault or self.refuses != damage:
                return
            self.fault, self.refuses, self._in_a_row = "", False, 0
        log.warning("in service again")

    def _watch(self, probe: Callable[[], object]) -> None:
        threading.Thread(target=self._try, args=(probe,), name="probe", daemon=True).start()

    def _try(self, probe: Callable[[], object]) -> None:
        """Ask until it can be answered, or the fault has ended or become damage meanwhile."""
        refused = self.refuses
        while True:
            time.sleep(self._probe_seconds)
            if not self.fault or self.refuses != refused:
                return
            if not refused and time.monotonic() < self._quiet_at:
                continue
            try:
                probe()
            except Exception as error:  # whatever it is, the replica is still broken
                log.info("still out of service: %s", type(error).__name__)
                continue
            self._mend(damage=refused)
            return

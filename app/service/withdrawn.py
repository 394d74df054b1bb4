"""What a service knows of withdrawn documents, by the file on its host and by what others tell.

The file is looked at twice a second, beside the requests: these read ``now`` and nothing else.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import GenerationError
from app.generation.withdrawn import NAME, NOTHING, Withdrawn, read

# How often the file is looked at, in seconds, and how soon again where something failed.
LOOK = 0.5
AGAIN = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Now:
    """What answers depend on at a moment; another object as soon as that changes.

    Attributes:
        ids: of what nobody may answer with.
        agreed: whether no shard answers by an older list. An answer may be remembered only where
            this is so, and only for as long as this object is the one that counts.
    """

    ids: frozenset[str] = NOTHING.ids
    agreed: bool = True


class Known:
    """The list that one service process answers by. Safe for threads.

    It only grows by merging: a file that is removed, or an older one, brings no document back.

    Args:
        links: the service's directory of links; the list lies beside it.
        apply: makes the service leave these out, before anybody is told that it does; raises
            GenerationError where it cannot.

    Raises: GenerationError where the file is damaged: what nobody may answer with is not known.
    """

    def __init__(
        self, links: Path, apply: Callable[[frozenset[str]], None] = lambda _: None
    ) -> None:
        self._path = links.parent / NAME
        self._apply = apply
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._fault = ""
        self._told = NOTHING
        self.list = NOTHING
        """What is applied."""
        self.now = Now()
        """An empty list is older than no other."""
        self.refresh(strict=True)

    @property
    def ids(self) -> frozenset[str]:
        """Of what nobody may answer with."""
        return self.now.ids

    def agree(self, told: Withdrawn, *, agreed: bool, anew: bool = False) -> None:
        """Say whether all who answer go by a list; without effect where it has changed since.

        Args:
            told: the list.
            agreed: whether they do.
            anew: whether that was in doubt, so that nothing that is remembered counts any more.
        """
        with self._lock:
            if told is self.list and (anew or agreed != self.now.agreed):
                self.now = Now(self.now.ids, agreed)

    def hear(self, other: Withdrawn) -> None:
        """Add what another service knows; it is applied before this returns."""
        with self._lock:
            self._told = self._told.merged(other)
            self._settle()

    def refresh(self, *, strict: bool = False) -> None:
        """Read the file, where it has changed, and apply it.

        Args:
            strict: whether a file that cannot be read is an error. Else what is known stays, with
                one line in the log for each state of the file.
        """
        with self._lock:
            fault = ""
            try:
                self._read()
            except (OSError, ValueError) as error:
                fault = str(error)
                if strict:
                    raise GenerationError(fault) from error
                if fault != self._fault:
                    log.error("what was known of withdrawn documents stays: %s", fault)
            self._fault = fault
            self._settle()

    def _read(self) -> None:
        """Read the file where it is another than last time; raises OSError, ValueError."""
        stamp = self._stamped()
        if stamp == self._stamp:
            return
        try:
            self._told = self._told.merged(read(self._path))
        except ValueError:
            self._stamp = stamp  # damaged, as long as it is this one
            raise
        self._stamp = stamp

    def _stamped(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_ino

    def _settle(self) -> None:
        if self._told is self.list:
            return
        self._apply(self._told.ids)
        if self._told.ids != self.ids:
            # A warning, because that is what reaches the journal.
            log.warning("%d documents are withdrawn from now on", len(self._told.ids))
        self.list, self.now = self._told, Now(self._told.ids, agreed=False)

    def describe(self) -> dict[str, Any]:
        """The member ``withdrawn`` of /health."""
        return {"documents": len(self.ids), "digest": self.list.digest}


class Watch:
    """Looks at the file, and does ``beside`` in the same thread, until the process ends."""

    def __init__(self, known: Known, beside: Callable[[], None] = lambda: None) -> None:
        self._known = known
        self._beside = beside
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="withdrawn", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def _run(self) -> None:
        pause = LOOK
        while not self._stopped.wait(pause):
            pause = LOOK
            try:
                self._known.refresh()
                self._beside()
            except Exception as error:  # whatever it is, the next look is another try
                log.error("withdrawn documents: %s: %s", type(error).__name__, error)
                pause = AGAIN

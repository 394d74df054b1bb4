"""The generations that a gateway holds, and the link that says which of them answers.

A router is small, so a gateway keeps several and looks at the link ``current`` at every request:
the rename of that link is the whole flip. Nothing restarts, nothing is polled.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from app.errors import GenerationError, ProblemError
from app.gateway.search import Searcher
from app.generation.manifest import ID_PATTERN
from app.generation.store import served
from app.wire import GENERATION_HEADER

# The active one, what ``previous`` names, the last that was pinned.
KEPT = 3
# A link's target that could not be loaded is tried again after this many seconds.
RETRY_SECONDS = 5.0

log = logging.getLogger(__name__)


class Generations:
    """Searchers by directory. Safe for threads: state is replaced, never changed in place.

    Args:
        links: the directory with the links ``current`` and ``previous``.
        load: opens the generation in a directory; raises GenerationError.

    Raises: GenerationError when what ``current`` names cannot be loaded.
    """

    def __init__(self, links: Path, load: Callable[[Path], Searcher]) -> None:
        self._links = links
        self._link = links / "current"
        self._load = load
        self._lock = threading.Lock()
        self._loaded: dict[Path, Searcher] = {}
        self._pinned: Searcher | None = None
        self._failed, self._retry_at = "", 0.0
        directories = served(links)
        # What the link says, as written, and who answers for it.
        target = _target(self._link)
        self._active = (target, self._get(_directory(links, target)))
        if "previous" in directories:
            try:
                self._get(directories["previous"])
            except GenerationError as error:
                log.warning("the previous generation is not loaded: %s", error)

    def settled(self) -> Searcher | None:
        """Who answers, where that is known without loading anything; None asks for ``active``."""
        target, searcher = self._active
        named = _target(self._link)
        if named == target or (named == self._failed and time.monotonic() < self._retry_at):
            return searcher
        return None

    def active(self) -> Searcher:
        """Who answers a request that begins now; the caller keeps it until the request ends.

        One readlink while the link stays as it was. The request that sees it changed loads what
        it names, where that is not loaded; until then, and where it cannot be loaded, the one
        that has answered so far goes on.
        """
        searcher = self.settled()
        if searcher is not None:
            return searcher
        if not self._lock.acquire(blocking=False):
            return self._active[1]
        try:
            return self._follow(_target(self._link))
        finally:
            self._lock.release()

    def pinned(self, wanted: str) -> Searcher:
        """Generation ``wanted``, loaded already or from beside what ``current`` names.

        Raises: ProblemError 409 ``generation_not_loaded`` saying why not.
        """
        with self._lock:
            try:
                searcher = self._by_id(wanted) or self._sibling(wanted)
            except GenerationError as error:
                raise ProblemError(
                    409, "generation_not_loaded", str(error), field=GENERATION_HEADER
                ) from error
            self._pinned = searcher
            self._forget()
        return searcher

    @property
    def previous(self) -> str | None:
        """The id of what ``previous`` names, where that is loaded."""
        searcher = self._loaded.get(_directory(self._links, _target(self._links / "previous")))
        return searcher.manifest.id if searcher else None

    @property
    def ids(self) -> list[str]:
        """The ids of all that are loaded, sorted."""
        return sorted({searcher.manifest.id for searcher in self._loaded.values()})

    def _follow(self, named: str) -> Searcher:
        try:
            if not named:
                raise GenerationError(f"{self._link} is not a link")
            searcher = self._get(_directory(self._links, named))
        except GenerationError as error:
            searcher = self._active[1]
            if named != self._failed:
                log.error("generation %s goes on answering: %s", searcher.manifest.id, error)
            self._failed, self._retry_at = named, time.monotonic() + RETRY_SECONDS
            return searcher
        self._failed = ""
        self._active = (named, searcher)
        self._forget()
        # A warning, because that is what reaches the journal: an operator looks for it there.
        log.warning("generation %s answers from now on", searcher.manifest.id)
        return searcher

    def _get(self, directory: Path) -> Searcher:
        searcher = self._loaded.get(directory)
        if searcher is None:
            searcher = self._load(directory)
            self._loaded = {**self._loaded, directory: searcher}
        return searcher

    def _by_id(self, wanted: str) -> Searcher | None:
        found = (s for s in self._loaded.values() if s.manifest.id == wanted)
        return next(found, None)

    def _sibling(self, wanted: str) -> Searcher:
        if not ID_PATTERN.fullmatch(wanted):
            raise GenerationError(f"{wanted!r} is not the id of a generation")
        directory = _directory(self._links, _target(self._link)).parent / wanted
        searcher = self._load(directory)
        if searcher.manifest.id != wanted:
            raise GenerationError(f"{directory} holds generation {searcher.manifest.id}")
        self._loaded = {**self._loaded, directory: searcher}
        return searcher

    def _forget(self) -> None:
        """Keep at most three; requests under way keep what they began with until they end."""
        previous = _directory(self._links, _target(self._links / "previous"))
        keep = (self._active[1], self._loaded.get(previous), self._pinned)
        spare = [path for path, searcher in self._loaded.items() if searcher not in keep]
        drop = spare[: max(len(self._loaded) - KEPT, 0)]
        self._loaded = {path: s for path, s in self._loaded.items() if path not in drop}


def _target(link: Path) -> str:
    """What a link says, as written; empty where there is no link."""
    try:
        return os.readlink(link)  # noqa: PTH115  # at every request, and half of Path.readlink
    except OSError:
        return ""


def _directory(links: Path, target: str) -> Path:
    return Path(os.path.realpath(links / target))

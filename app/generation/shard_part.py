"""One shard of one generation, open for searching: its index and its documents together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import GenerationError
from app.generation import shard_index
from app.generation.columns import Columns
from app.generation.documents import Documents
from app.generation.documents_before import DocumentsBefore
from app.generation.file_names import shard_dir
from app.generation.manifest import SCHEMA, Manifest
from app.generation.passing import Passing
from app.generation.rows import Row, Store, ordinals, row_of
from app.generation.shard_index import ShardIndex
from app.generation.shard_words import ShardWords
from app.generation.shortlist import Shortlist, by_score, candidates, shortlist
from app.generation.terms import unpack_terms
from app.generation.withdrawn_rows import VisibleIndex


class Hit(NamedTuple):
    """A document's part of an answer, which lacks the score, and what it has for one question.

    ``lexical`` is the coverage of the question's words; None where only scores were asked for.
    ``named``: it has a name of the question (``names.names``).
    """

    record: bytes
    score: float
    lexical: float | None = None
    named: bool = False

    @property
    def row(self) -> Row:
        """The document; raises GenerationError when its record is damaged."""
        return row_of(self.record)


class Found(NamedTuple):
    """A shard's answer to one question.

    ``hits`` are best by score first. ``ordinals`` and ``scores`` are of the candidates beside them,
    which cannot be in the answer, but count where the best by score of all shards are chosen.
    """

    hits: list[Hit]
    ordinals: list[int]
    scores: list[float]


def open_store(directory: Path, manifest: Manifest, shard: int) -> Store:
    """The documents of a shard, in the format of this release or of the one before.

    Raises: GenerationError when they are missing or damaged.
    """
    path = directory / manifest.store(shard)
    return Documents(path) if manifest.schema == SCHEMA else DocumentsBefore(path)


def words_of(part: Path, manifest: Manifest, count: int) -> ShardWords | None:
    """The words of a shard of ``count`` rows, where a generation has them."""
    rescoring = manifest.routing.rescoring
    if rescoring is None:
        return None
    return ShardWords.load(part, count, named=rescoring.sharing > 0)


class ShardPart:
    """A shard's part of a generation; see ``open``."""

    def __init__(
        self,
        manifest: Manifest,
        index: ShardIndex,
        store: Store,
        words: ShardWords | None,
        columns: Columns | None = None,
    ) -> None:
        self.manifest = manifest
        self._index = VisibleIndex(index, store)
        self._documents = store
        self._words = words
        self._columns = columns
        self.count = store.count

    @classmethod
    def open(cls, directory: Path, shard: int, *, verify: bool = False) -> ShardPart:
        """Load shard ``shard`` of the generation in ``directory``.

        Args:
            directory: the generation.
            shard: its number.
            verify: whether sizes and checksums are compared first.

        Raises: GenerationError when a part is missing, damaged, or the two disagree.
        """
        manifest = Manifest.load(directory)
        if shard >= len(manifest.shards):
            return AbsentPart(manifest)
        if verify:
            manifest.verify(directory, [shard], routing=False)
        info = manifest.shards[shard]
        part = directory / shard_dir(shard)
        store = open_store(directory, manifest, shard)
        words = words_of(part, manifest, info.documents)
        index = ShardIndex.load(
            part / shard_index.NAME,
            dim=manifest.model.dim,
            count=info.documents,
            rank=words.ordinals if words else partial(ordinals, store),
            several=manifest.routing.also is not None,
        )
        if store.count != info.documents:
            raise GenerationError(
                f"{directory / manifest.store(shard)} holds {store.count} documents, "
                f"the manifest says {info.documents}"
            )
        filters = manifest.routing.filters
        columns = Columns.load(part, filters.fields, info.documents) if filters else None
        return cls(manifest, index, store, words, columns)

    def withdraw(self, ids: frozenset[str]) -> None:
        """Answer without these documents from now on; raises GenerationError."""
        self._index.withdraw(ids)

    @property
    def withdrawn(self) -> frozenset[str]:
        """The withdrawn documents that it has."""
        return self._index.found

    def self_query(self) -> None:
        """Search once and read the answer; raises GenerationError when that is impossible.

        A shard without documents, as its manifest says, answers with nothing.
        """
        query = np.full((1, self.manifest.model.dim), self.manifest.model.dim**-0.5, np.float32)
        [(hits, _, _)] = self.search(query, 1)
        whole = all(np.isfinite(hit.score) and hit.row.text for hit in hits)
        if not whole or len(hits) != min(self.count - len(self._index.hidden), 1):
            raise GenerationError(f"generation {self.manifest.id}: the self-query found nothing")

    def passing(self, text: str) -> Passing | None:
        """The rows that pass a filter (``filters.filter_text``); None for all, where it is empty.

        Raises: ProblemError 400 where the generation has no such field.
        """
        if not text:
            return None
        return (self._columns or Columns((), (), self.count)).passing(text)

    def at_hand(self, text: str) -> bool:
        """Whether ``passing`` of this filter takes no time."""
        return not text or (self._columns is not None and self._columns.at_hand(text) is not None)

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        terms: Sequence[bytes] = (),
        passing: Passing | None = None,
    ) -> list[Found]:
        """The ``k`` nearest documents per question, best first.

        Args:
            queries: (n, dim) unit vectors.
            k: how many documents are wanted in the end.
            terms: of each question (``rescoring.Rescorer.terms``), for what may be among the ``k``
                best by score and words; without them scores alone count.
            passing: the rows that may be found (``passing``); all by default.
        """
        words, rescoring = self._words, self.manifest.routing.rescoring
        if not terms or words is None or rescoring is None:
            hits = self._index.search(queries, k, passing=passing)
            return [self._found(by_score(*one)) for one in zip(hits.rows, hits.scores, strict=True)]
        depth = max(k, rescoring.depth)
        found = []
        for place, own in enumerate(terms):
            query = queries[place : place + 1]
            unpacked = unpack_terms(own)
            those = candidates(self._index, words, query, unpacked, depth, k, passing)
            short = shortlist(those, words, k, rescoring, alone=unpacked.alone)
            found.append(self._found(short))
        return found

    def _found(self, short: Shortlist) -> Found:
        records = self._documents.fetch([one.row for one in short.offered])
        hits = [
            Hit(record, one.score, one.lexical, one.named)
            for record, one in zip(records, short.offered, strict=True)
        ]
        return Found(hits, short.ordinals, short.scores)


class AbsentPart(ShardPart):
    """The part of a shard that its generation does not have: no document, and nobody asks it.

    So a fleet may have more shards than what it serves: while it grows, and before it shrinks.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.count = 0

    def withdraw(self, ids: frozenset[str]) -> None:
        """There is nothing to leave out."""

    @property
    def withdrawn(self) -> frozenset[str]:
        """None of its documents is withdrawn."""
        return frozenset()

    def self_query(self) -> None:
        """There is nothing to search."""

    def passing(self, text: str) -> Passing | None:  # noqa: ARG002  # as a ShardPart's
        """Any filter leaves nothing."""
        return None

    def at_hand(self, text: str) -> bool:  # noqa: ARG002  # as a ShardPart's
        """Nothing takes no time."""
        return True

    def search(self, queries: NDArray[np.float32], *_: object) -> list[Found]:
        """Nothing, for each question."""
        return [Found([], [], []) for _ in queries]

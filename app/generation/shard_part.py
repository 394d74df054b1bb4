"""One shard of one generation, open for searching: its index and its documents together."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import GenerationError
from app.generation import shard_index
from app.generation.documents import Documents
from app.generation.documents_before import DocumentsBefore
from app.generation.manifest import SCHEMA, Manifest, shard_dir
from app.generation.rows import Row, Store, ordinals, row_of
from app.generation.shard_index import ShardIndex


class Hit(NamedTuple):
    """A document's part of an answer, which lacks the score, and the score for one question."""

    record: bytes
    score: float

    @property
    def row(self) -> Row:
        """The document; raises GenerationError when its record is damaged."""
        return row_of(self.record)


def open_store(directory: Path, manifest: Manifest, shard: int) -> Store:
    """The documents of a shard, in the format of this release or of the one before.

    Raises: GenerationError when they are missing or damaged.
    """
    path = directory / manifest.store(shard)
    return Documents(path) if manifest.schema == SCHEMA else DocumentsBefore(path)


class ShardPart:
    """A shard's part of a generation; see ``open``."""

    def __init__(self, manifest: Manifest, index: ShardIndex, store: Store) -> None:
        self.manifest = manifest
        self._index = index
        self._documents = store
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
            raise GenerationError(
                f"generation {manifest.id} has {len(manifest.shards)} shards, no shard {shard}"
            )
        if verify:
            manifest.verify(directory, [shard], routing=False)
        info = manifest.shards[shard]
        part = directory / shard_dir(shard)
        store = open_store(directory, manifest, shard)
        index = ShardIndex.load(
            part / shard_index.NAME,
            dim=manifest.model.dim,
            count=info.documents,
            rank=partial(ordinals, store),
        )
        if store.count != info.documents:
            raise GenerationError(
                f"{directory / manifest.store(shard)} holds {store.count} documents, "
                f"the manifest says {info.documents}"
            )
        return cls(manifest, index, store)

    def self_query(self) -> None:
        """Search once and read the answer; raises GenerationError when that is impossible.

        A shard without documents, as its manifest says, answers with nothing.
        """
        query = np.full((1, self.manifest.model.dim), self.manifest.model.dim**-0.5, np.float32)
        [hits] = self.search(query, 1)
        whole = all(np.isfinite(hit.score) and hit.row.text for hit in hits)
        if not whole or len(hits) != min(self.count, 1):
            raise GenerationError(f"generation {self.manifest.id}: the self-query found nothing")

    def search(self, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:
        """The ``k`` nearest documents per question (n, dim), best first."""
        hits = self._index.search(queries, k)
        answers = []
        for rows, scores in zip(hits.rows.tolist(), hits.scores.tolist(), strict=True):
            real = [place for place, row in enumerate(rows) if row >= 0]
            found = self._documents.fetch([rows[place] for place in real])
            answers.append(list(map(Hit, found, [scores[place] for place in real])))
        return answers

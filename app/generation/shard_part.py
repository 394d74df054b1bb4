"""One shard of one generation, open for searching: its index and its documents together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import GenerationError
from app.generation import documents, shard_index
from app.generation.documents import Documents, Row
from app.generation.manifest import Manifest, shard_dir
from app.generation.shard_index import ShardIndex


@dataclass(frozen=True, slots=True)
class Hit:
    """A document and its score for one question."""

    row: Row
    score: float


class ShardPart:
    """A shard's part of a generation; see ``open``."""

    def __init__(self, manifest: Manifest, index: ShardIndex, store: Documents) -> None:
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
        store = Documents(part / documents.NAME)
        index = ShardIndex.load(
            part / shard_index.NAME,
            dim=manifest.model.dim,
            count=info.documents,
            rank=store.ordinals,
        )
        if store.count != info.documents:
            raise GenerationError(
                f"{part / documents.NAME} holds {store.count} documents, "
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
        found = self._documents.fetch([row for row in hits.rows.ravel().tolist() if row >= 0])
        return [
            [Hit(found[row], score) for row, score in zip(rows, scores, strict=True) if row >= 0]
            for rows, scores in zip(hits.rows.tolist(), hits.scores.tolist(), strict=True)
        ]

"""A sealed generation as the base of the next one: what stays as it is, so that little is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from app.errors import BuildError
from app.generation import shard_index
from app.generation.file_names import shard_dir
from app.generation.manifest import Manifest
from app.generation.manifest_parts import ModelRef
from app.generation.routing import Router
from app.generation.rows import Row, everything
from app.generation.shard_part import open_store
from index_builder.cluster import Clusters, assign
from index_builder.corpus.ingest import Ingested
from index_builder.document_rows import DocumentRows
from index_builder.trained import Trained
from index_builder.workers import HERE, Workers

# A shard may hold this many times the mean before a new placement is worth sending everything.
MAX_LOAD = 1.3
INSTEAD = "build without --base"


class Base:
    """The generation in ``directory``, to build another one of the same model and shards on.

    Raises: GenerationError when it is not sealed, BuildError when model or shards differ.
    """

    def __init__(self, directory: Path, model: ModelRef, shards: int) -> None:
        self._directory = directory
        self.manifest = Manifest.load(directory)
        made_by = self.manifest.model.fingerprint
        if made_by != model.fingerprint:
            raise BuildError(
                f"--base {directory} was made by model {made_by}, this build has "
                f"{model.fingerprint}: use that model, or {INSTEAD}"
            )
        if len(self.manifest.shards) != shards:
            raise BuildError(
                f"--base {directory} has {len(self.manifest.shards)} shards, this build has "
                f"{shards}: use as many, or {INSTEAD}"
            )
        router = Router.load(directory, self.manifest)
        self.centroids, self.cluster_shard = router.centroids, router.cluster_shard
        self.shards = shards
        # Of each row, what tells its text from every other (texts.Texts.identities).
        self._held: list[NDArray[np.int64]] = []

    def open(self) -> None:
        """Check every file and read the documents' ordinals; raises GenerationError."""
        shards = range(len(self.manifest.shards))
        self.manifest.verify(self._directory, shards, routing=True)
        for shard in shards:
            found = (2 * row.ordinal + (row.matched == "answer") for row in self._rows(shard))
            self._held.append(np.fromiter(found, dtype=np.int64))

    def clusters(self, vectors: NDArray[np.float32], workers: Workers = HERE) -> Clusters:
        """Every document (n, dim) in the cluster of its nearest centroid of the base.

        Raises: BuildError when a cluster is empty now, or a shard too full.
        """
        clusters = assign(vectors, self.centroids, workers)
        empty = len(self.centroids) - len(clusters.centroids)
        if empty:
            raise BuildError(
                f"--base {self._directory}: {empty} of its {len(self.centroids)} clusters would "
                f"hold no document: {INSTEAD}"
            )
        load = _over_mean(np.bincount(self.cluster_shard, clusters.sizes, self.shards))
        # Few distinct texts cannot be spread evenly: such a base may stay as uneven as it was.
        before = _over_mean(np.array([shard.documents for shard in self.manifest.shards]))
        most = MAX_LOAD * np.maximum(before, 1.0)
        fullest = int((load / most).argmax())
        if load[fullest] > most[fullest]:
            raise BuildError(
                f"--base {self._directory} has grown out of balance: shard {fullest} would hold "
                f"{load[fullest]:.2f} times the mean, {most[fullest]:.2g} is the most: {INSTEAD}"
            )
        return clusters

    def number(self, corpus: Ingested) -> NDArray[np.int64]:
        """The ordinal of each document of ``corpus``, by place: (n,).

        A document whose id the base knows keeps its ordinal; the others go on from the highest,
        in the order of the corpus. So equal scores come in corpus order, what is new last.
        """
        numbers = np.full(corpus.count, -1, dtype=np.int64)
        rows = DocumentRows(corpus.documents)
        for shard in range(len(self.manifest.shards)):
            held = ((row.id, row.ordinal) for row in self._rows(shard))
            for place, ordinal in rows.places(held):
                numbers[place] = ordinal
        new = np.flatnonzero(numbers < 0)
        numbers[new] = np.concatenate(self._held).max() // 2 + 1 + np.arange(len(new))
        return numbers

    def held(self, texts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which texts, by their identities, each shard of the base stores: (t, shards)."""
        return np.stack([np.isin(texts, own) for own in self._held], axis=1)

    def arrange(
        self, shard: int, places: NDArray[np.int64], texts: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The places that a shard stores, in the order of its rows; ``texts`` are identities.

        What the base's shard holds stays in its row. The others, by identity, fill the rows of what
        has gone, and go on at the end; where the shard has shrunk, so do the base's last rows.
        """
        by_number = places[np.argsort(texts[places])]
        wanted = texts[by_number]
        rows = np.full(len(places), -1, dtype=np.int64)
        before = self._held[shard][: len(places)]
        stays = np.isin(before, wanted)
        rows[: len(before)][stays] = before[stays]
        rows[rows < 0] = np.setdiff1d(wanted, before[stays])
        return by_number[np.searchsorted(wanted, rows)]

    def trained(self, shard: int) -> Trained:
        """A shard's own index, trained and without its vectors."""
        info = self.manifest.shards[shard]
        index = faiss.read_index(str(self._directory / shard_dir(shard) / shard_index.NAME))
        index.reset()
        return Trained(info.index_kind, info.documents, faiss.serialize_index(index))

    def _rows(self, shard: int) -> Iterator[Row]:
        return everything(open_store(self._directory, self.manifest, shard))


def _over_mean(loads: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(loads / loads.mean(), dtype=np.float64)

"""Texts drawn from a sealed generation, each at most once, with their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import faiss
import numpy as np
from numpy.typing import NDArray

from app.generation import shard_index
from app.generation.file_names import shard_dir
from app.generation.manifest import Manifest
from app.generation.routing import Router
from app.generation.rows import Row, row_of
from app.generation.shard_part import open_store

# Stored rows that are looked at, all shards together.
LIMIT = 20_000
SEED = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sampled:
    """What was drawn.

    Attributes:
        rows: (n) the texts, border copies left out.
        vectors: (n, dim) theirs, as the indexes hold them; None where an index gives none back.
        clusters: (n,) their nearest; None likewise.
        own: by shard, the stored rows that are no border copies, estimated; empty likewise.
        whole: whether every stored row was looked at.
    """

    rows: list[Row]
    vectors: NDArray[np.float32] | None
    clusters: NDArray[np.int64] | None
    own: tuple[int, ...]
    whole: bool

    @property
    def documents(self) -> list[int]:
        """The places of the rows that stand for a document's question."""
        return [place for place, row in enumerate(self.rows) if row.matched == "question"]


def evenly(things: Sequence[T], most: int) -> list[T]:
    """At most so many of them, at even distances."""
    if len(things) <= most:
        return list(things)
    return [things[place * len(things) // most] for place in range(most)]


def draw(directory: Path, manifest: Manifest, limit: int = LIMIT) -> Sampled:
    """Draw about ``limit`` stored rows, the same each time; raises GenerationError.

    A row is no border copy where its nearest centroid is one of its shard's.
    """
    router = Router.load(directory, manifest)
    share = min(1.0, limit / manifest.stored)
    rng = np.random.default_rng(SEED)
    rows: list[Row] = []
    vectors: list[NDArray[np.float32]] | None = []
    clusters = []
    parts = np.zeros(len(manifest.shards))
    for info in manifest.shards:
        count = int(np.ceil(share * info.documents))
        drawn = np.sort(rng.choice(info.documents, count, replace=False))
        found = None
        if vectors is not None and count:
            found = _vectors(directory / shard_dir(info.shard) / shard_index.NAME, drawn)
        if count and found is None:
            vectors = None
        elif vectors is not None and found is not None:
            nearest = (found @ router.centroids.T).argmax(axis=1)
            mine = router.cluster_shard[nearest] == info.shard
            parts[info.shard] = info.documents * float(mine.mean())
            drawn = drawn[mine]
            vectors.append(found[mine])
            clusters.append(nearest[mine])
        store = open_store(directory, manifest, info.shard)
        rows += map(row_of, store.fetch(drawn.tolist()))
    if vectors is None:
        seen: dict[tuple[int, str], Row] = {}
        for row in rows:
            seen.setdefault((row.ordinal, row.matched), row)
        return Sampled(list(seen.values()), None, None, (), share == 1.0)
    also = manifest.routing.also
    texts = also.texts if also else manifest.documents
    own = np.rint(parts * texts / parts.sum()).astype(int) if parts.sum() else parts.astype(int)
    return Sampled(
        rows, np.concatenate(vectors), np.concatenate(clusters), tuple(own.tolist()), share == 1.0
    )


def _vectors(path: Path, rows: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """Those of rows of an index; None where it keeps codes in lists and nothing beside them."""
    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    if isinstance(faiss.downcast_index(index), faiss.IndexIVF):
        return None  # FAISS crashes where the codes are packed
    try:
        return np.ascontiguousarray(index.reconstruct_batch(rows), np.float32)
    except RuntimeError:
        return None

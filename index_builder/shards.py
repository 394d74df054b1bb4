"""Build one shard's FAISS index: the kind by size, its search parameter by measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from app.errors import BuildError
from app.generation.shard_index import ShardIndex

# Up to this many vectors a shard, exact search costs a tenth of a hop (docs/performance.md).
FLAT_LIMIT = 2_000
IVF_LIMIT = 500_000
TRAIN_LIMIT = 200_000
TARGET_RECALL = 0.995
SAMPLE = 200
K = 10
STEPS = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """A trained and filled index: its kind, its recall@10 against exact, whether it is exact."""

    index: Any
    kind: str
    recall: float
    exact: bool


def choose_kind(count: int, dim: int, wanted: str) -> str:
    """The FAISS factory string for shards of ``count`` vectors each, on average.

    ``wanted`` is auto, exact, or a factory string that is taken as it is.
    """
    if wanted == "exact":
        return "Flat"
    if wanted != "auto":
        return wanted
    if count <= FLAT_LIMIT or dim % 4:
        return "Flat"
    codes = f"PQ{dim // 4}x4fs,RFlat"
    if count <= IVF_LIMIT:
        return codes
    return f"IVF{int(4 * count**0.5)},{codes}"


def build_index(
    vectors: NDArray[np.float32], kind: str, seed: int, trained: Any | None = None
) -> BuiltIndex:
    """Train, fill and tune an index over unit vectors (n, dim); row i is vector i.

    Args:
        vectors: the shard's vectors.
        kind: a FAISS factory string, see ``choose_kind``.
        seed: of the samples for training and tuning.
        trained: an empty index of that kind to fill, instead of training one.

    Raises: BuildError for a kind that FAISS does not know.
    """
    count, dim = vectors.shape
    index = _new(dim, kind) if trained is None else trained
    if not index.is_trained:
        index.train(_subset(vectors, TRAIN_LIMIT, seed))
    for start in range(0, count, TRAIN_LIMIT):
        index.add(np.ascontiguousarray(vectors[start : start + TRAIN_LIMIT]))
    if kind == "Flat":
        return BuiltIndex(index, kind, 1.0, exact=True)
    recall = _tune(index, vectors, seed)
    return BuiltIndex(index, kind, recall, exact=False)


def _new(dim: int, kind: str) -> Any:
    try:
        return faiss.index_factory(dim, kind, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise BuildError(
            f"FAISS knows no index {kind!r}: use auto, exact or a factory string"
        ) from error


def _tune(index: Any, vectors: NDArray[np.float32], seed: int) -> float:
    """Raise k_factor (and nprobe) until recall@10 against exact search reaches the target."""
    questions = _subset(vectors, SAMPLE, seed + 1)
    exact = faiss.knn(questions, np.ascontiguousarray(vectors), K, faiss.METRIC_INNER_PRODUCT)[1]
    recall = 0.0
    for step in STEPS:
        _set_effort(index, step)
        found = ShardIndex(index).search(questions, K).rows
        recall = float(
            np.mean([len(set(a) & set(b)) / K for a, b in zip(found, exact, strict=True)])
        )
        if recall >= TARGET_RECALL:
            break
    return round(recall, 4)


def _set_effort(index: Any, step: int) -> None:
    inner = index
    if hasattr(index, "k_factor"):
        index.k_factor = float(step)
        inner = faiss.downcast_index(index.base_index)
    if hasattr(inner, "nprobe"):
        inner.nprobe = step


def _subset(vectors: NDArray[np.float32], limit: int, seed: int) -> NDArray[np.float32]:
    if len(vectors) <= limit:
        return np.ascontiguousarray(vectors)
    rows = np.random.default_rng(seed).choice(len(vectors), limit, replace=False)
    return np.ascontiguousarray(vectors[np.sort(rows)])

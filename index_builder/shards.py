"""Build one shard's FAISS index, and choose its search parameter by measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from app.errors import BuildError, GenerationError
from app.generation.passing import Passing
from app.generation.shard_index import ShardIndex
from index_builder.handed import Handed, received
from index_builder.index_kind import FLAT, choose_kind, reason
from index_builder.trained import Trained

TRAIN_LIMIT = 200_000
TARGET_RECALL = 0.995
SAMPLE = 200
K = 10
# Two ways to compute one inner product of unit vectors in float32 differ by less.
ROUNDING = 1e-5
# Recalls that differ by less are the same.
AS_GOOD = 5e-4
STEPS = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """A trained and filled index: its kind, its recall@10 against exact, whether it is exact."""

    index: Any
    kind: str
    recall: float
    exact: bool


def built_shard(
    block: Handed, wanted: str, seed: int, trained: Trained | None, filtered: bool
) -> tuple[NDArray[np.uint8], str, float, bool]:
    """Choose, train, fill and tune the index of a shard.

    Args:
        block: the shard's vectors (n, dim).
        wanted: as of ``index_kind.choose_kind``.
        seed: of the samples for training and tuning.
        trained: of the base's shard, if there is one.
        filtered: whether searches may have filters.

    Returns: the index as FAISS writes it, its kind, recall@10 against exact, and whether it is
        exact.
    Raises: as of ``build_index``.
    """
    vectors = received(block)
    if trained is None:
        kind, index = choose_kind(vectors, wanted, filtered=filtered), None
    else:
        kind, index = trained.kept(vectors, wanted, filtered=filtered)
    built = build_index(vectors, kind, seed, index, filtered=filtered)
    del vectors, index
    return faiss.serialize_index(built.index), built.kind, built.recall, built.exact


def build_index(
    vectors: NDArray[np.float32],
    kind: str,
    seed: int,
    trained: Any | None = None,
    *,
    filtered: bool = False,
) -> BuiltIndex:
    """Train, fill and tune an index over unit vectors (n, dim); row i is vector i.

    Args:
        vectors: the shard's vectors.
        kind: a FAISS factory string, see ``index_kind.choose_kind``.
        seed: of the samples for training and tuning.
        trained: an empty index of that kind to fill, instead of training one.
        filtered: whether searches may have filters.

    Raises: BuildError when FAISS refuses the kind, or to train or fill it, or to filter by it.
    """
    try:
        index = _filled(vectors, kind, seed, trained)
        if filtered and len(vectors):
            _check_filters(index, vectors, kind)
        if kind == FLAT:
            return BuiltIndex(index, kind, 1.0, exact=True)
        return BuiltIndex(index, kind, _tune(index, vectors, seed), exact=False)
    except RuntimeError as error:
        raise BuildError(
            f"FAISS cannot build index {kind!r} over {len(vectors):,} vectors ({reason(error)}): "
            "use --index auto"
        ) from error


def _check_filters(index: Any, vectors: NDArray[np.float32], kind: str) -> None:
    """Raises BuildError where FAISS cannot search only some rows of such an index."""
    try:
        everything = Passing(np.ones(len(vectors), np.bool_))
        ShardIndex(index).search(vectors[:1], 1, passing=everything)
    except GenerationError as error:
        raise BuildError(
            f"an index {kind!r} takes no filters: use --index auto, lean or exact, put IVF1, "
            "before it, or leave --filterable out"
        ) from error


def _filled(vectors: NDArray[np.float32], kind: str, seed: int, trained: Any | None) -> Any:
    count, dim = vectors.shape
    index = trained
    if index is None:
        index = faiss.index_factory(dim, kind, faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        index.train(_subset(vectors, TRAIN_LIMIT, seed))
    for start in range(0, count, TRAIN_LIMIT):
        index.add(np.ascontiguousarray(vectors[start : start + TRAIN_LIMIT]))
    return index


def _tune(index: Any, vectors: NDArray[np.float32], seed: int) -> float:
    """Raise k_factor (and nprobe) until recall@10 against exact search reaches the target.

    Where no effort reaches it, as with vectors of 8 bits, the least that is as good as any is
    taken. A row counts as found when its true score is that of the exact tenth, or better: rows of
    equal vectors are as good as each other.
    """
    questions = _subset(vectors, SAMPLE, seed + 1)
    k = min(K, len(vectors))
    exact = faiss.knn(questions, np.ascontiguousarray(vectors), k, faiss.METRIC_INNER_PRODUCT)[0]
    found: dict[int, float] = {}
    for step in STEPS:
        _set_effort(index, step)
        rows = ShardIndex(index).search(questions, k).rows
        scores = np.einsum("qd,qkd->qk", questions, vectors[rows])
        enough = (scores >= exact[:, -1:] - ROUNDING) & (rows >= 0)
        found[step] = float(enough.mean())
        if found[step] >= TARGET_RECALL:
            return round(found[step], 4)
    most = max(found.values())
    least = next(step for step in STEPS if found[step] >= most - AS_GOOD)
    _set_effort(index, least)
    return round(found[least], 4)


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

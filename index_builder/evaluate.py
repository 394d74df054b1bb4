"""Measure routing against exact search and choose its parameters: the recall table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import faiss
import numpy as np
from numpy.typing import NDArray

from app.generation.manifest_parts import RecallRow, RoutingInfo
from app.generation.routing import ask_until, centroid_scores, shard_mass
from app.generation.shard_index import ShardIndex
from index_builder.cluster import blocks
from index_builder.handed import Handed, received
from index_builder.texts import Texts
from index_builder.workers import HERE, Workers

K = 10
NEIGHBOURS = 64
TEMPERATURES = (0.02, 0.03, 0.04, 0.05, 0.07, 0.1)
THRESHOLDS = (
    0.3, 0.4, 0.5, 0.55, 0.6, 0.625, 0.65, 0.675, 0.7, 0.725, 0.75, 0.775, 0.8, 0.8125, 0.825,
    0.8375, 0.85, 0.8625, 0.875, 0.8875, 0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.975, 0.98,
    0.985, 0.99, 0.9925, 0.995, 0.9965, 0.998, 0.9985, 0.999, 0.9994, 0.9997, 0.9999, 0.99997, 1.0,
)  # fmt: skip
# The sample is finite: aim this far above the target, so that other questions reach it too.
MARGIN_AT_1 = 0.001
MARGIN_AT_10 = 0.003

# Places (n,) -> unit vectors (n, dim).
AsQuestions: TypeAlias = Callable[[NDArray[np.int64]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Sample:
    """Questions with their exact answers.

    Attributes:
        vectors: (m, dim) unit vectors.
        exclude: (m,) place of the document that a question must not find (its own), or -1.
        truth: (m, 10) places of the exact nearest texts, each document's nearest alone; -1 where
            there are fewer.
    """

    vectors: NDArray[np.float32]
    exclude: NDArray[np.int64]
    truth: NDArray[np.int64]


def leave_one_out(
    vectors: NDArray[np.float32],
    texts: Texts,
    ask: AsQuestions,
    size: int,
    seed: int,
    workers: Workers = HERE,
) -> Sample:
    """Documents asked as questions, each not allowed to find itself.

    ``vectors`` are those of ``texts``; ``ask`` gives the vectors that documents, named by place,
    have as questions.
    """
    size = min(size, texts.documents)
    rows = np.sort(np.random.default_rng(seed).choice(texts.documents, size, replace=False))
    rows = rows.astype(np.int64)
    return with_truth(vectors, texts.owners, ask(rows), rows, workers=workers)


def questions(
    vectors: NDArray[np.float32],
    texts: Texts,
    asked: NDArray[np.float32],
    workers: Workers = HERE,
) -> Sample:
    """Real questions (m, dim), with exact answers from the corpus."""
    own = np.full(len(asked), -1, dtype=np.int64)
    return with_truth(vectors, texts.owners, asked, own, workers=workers)


def with_truth(
    vectors: NDArray[np.float32],
    owners: NDArray[np.int64],
    asked: NDArray[np.float32],
    exclude: NDArray[np.int64],
    *,
    among: NDArray[np.int64] | None = None,
    workers: Workers = HERE,
) -> Sample:
    """Search texts exactly, block by block: those of the ten best documents.

    Args:
        vectors: (t, dim) of the texts.
        owners: (t,) the document of each.
        asked: (m, dim) questions.
        exclude: (m,) the document that each must not find, or -1.
        among: ascending places of the texts that may be found; all of them by default.
        workers: what searches.
    """
    if among is not None:
        owners = owners[among]
    most = int(np.bincount(owners).max(initial=1))  # texts of one document
    depth = most * (K + 1)
    scores = np.full((len(asked), depth), -np.inf, dtype=np.float32)
    rows = np.full((len(asked), depth), -1, dtype=np.int64)
    parts = blocks(len(owners))
    calls = (
        (workers.hand(vectors, part if among is None else among[part]), asked, depth)
        for part in parts
    )
    for number, (found, at) in workers.each(nearest, calls):
        scores = np.concatenate([scores, found], axis=1)
        rows = np.concatenate([rows, at + parts[number].start], axis=1)
        order = np.lexsort((rows, -scores), axis=1)[:, :depth]
        scores = np.take_along_axis(scores, order, axis=1)
        rows = np.take_along_axis(rows, order, axis=1)
    truth = _of_documents(rows, owners, exclude)
    return Sample(
        asked, exclude, truth if among is None else np.where(truth >= 0, among[truth], -1)
    )


def nearest(
    block: Handed, asked: NDArray[np.float32], depth: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scores and rows of the ``depth`` nearest vectors of a block, for each question."""
    own = received(block)
    found: tuple[NDArray[np.float32], NDArray[np.int64]] = faiss.knn(
        asked, own, min(depth, len(own)), faiss.METRIC_INNER_PRODUCT
    )
    return found


def _of_documents(
    rows: NDArray[np.int64], owners: NDArray[np.int64], exclude: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Of texts (m, n), best first, the best ones of ten documents, none of ``exclude``: (m, 10)."""
    documents = np.where(rows >= 0, owners[rows], -1)
    gone = documents == exclude[:, None]
    for place in range(1, rows.shape[1]):
        gone[:, place] |= (documents[:, :place] == documents[:, place : place + 1]).any(axis=1)
    order = np.argsort(gone, axis=1, kind="stable")
    moved = np.take_along_axis(np.where(gone, -1, rows), order, axis=1)
    return moved[:, :K]


def found_by(
    sample: Sample, indexes: list[ShardIndex], stored: list[NDArray[np.int64]]
) -> NDArray[np.bool_]:
    """Which shards return which of the true answers: (m, 10, shards) booleans.

    A shard's answers are its own index's, so a lossy index shows here too.
    """
    found = np.zeros((len(sample.vectors), K, len(indexes)), dtype=np.bool_)
    for shard, (index, own) in enumerate(zip(indexes, stored, strict=True)):
        rows = index.search(sample.vectors, K + 1).rows
        if not len(own):
            continue
        returned = np.where(rows >= 0, own[rows], -2)
        found[:, :, shard] = (sample.truth[:, :, None] == returned[:, None, :]).any(axis=2)
    return found


@dataclass(frozen=True, slots=True)
class Masses:
    """How the router sees a sample of questions, whatever the shards return.

    Attributes:
        by_temperature: mass per shard and the order in which to ask, each (m, shards).
        filled: (shards,) which of them have documents.
    """

    by_temperature: dict[float, tuple[NDArray[np.float64], NDArray[np.intp]]]
    filled: NDArray[np.bool_]


def masses_of(
    sample: Sample,
    centroids: NDArray[np.float32],
    cluster_shard: NDArray[np.int32],
    shards: int,
) -> Masses:
    """For centroids (clusters, dim), their shards (clusters,) and ``shards``, empty included."""
    scores = centroid_scores(sample.vectors, centroids)
    return Masses(
        {
            temperature: shard_mass(scores, cluster_shard, shards, temperature, NEIGHBOURS)
            for temperature in TEMPERATURES
        },
        np.bincount(cluster_shard, minlength=shards) > 0,
    )


def choose_routing(
    sample: Sample, found: NDArray[np.bool_], masses: Masses, targets: tuple[float, float]
) -> RoutingInfo:
    """The temperature and threshold with the smallest fan-out that reach both targets.

    Args:
        sample: questions and their truth.
        found: from ``found_by``.
        masses: from ``masses_of``.
        targets: recall@1 and recall@10 against exact search.

    Where no threshold reaches the targets (a lossy index, a tiny corpus), every shard with any
    mass is asked; the table shows what that gives.
    """
    best: RoutingInfo | None = None
    for temperature, (mass, order) in masses.by_temperature.items():
        table = []
        for threshold in THRESHOLDS:
            asked = ask_until(mass, order, threshold) & masses.filled
            at_1, at_10 = _recall(sample, found, asked)
            fan_out = float(asked.sum(axis=1).mean())
            table.append(RecallRow(threshold, round(at_1, 4), round(at_10, 4), round(fan_out, 3)))
        chosen = next((row for row in table if _reaches(row, targets)), table[-1])
        info = RoutingInfo(
            temperature=temperature,
            neighbours=NEIGHBOURS,
            threshold=chosen.threshold,
            target_recall_at_1=targets[0],
            target_recall_at_10=targets[1],
            sample=len(sample.vectors),
            table=tuple(table),
        )
        if best is None or _key(info, targets) < _key(best, targets):
            best = info
    assert best is not None  # noqa: S101  # there are temperatures
    return best


def chosen_row(info: RoutingInfo) -> RecallRow:
    """The row of the table that ``info`` chose."""
    return next(row for row in info.table if row.threshold == info.threshold)


def _reaches(row: RecallRow, targets: tuple[float, float]) -> bool:
    return row.recall_at_1 >= min(targets[0] + MARGIN_AT_1, 1.0) and row.recall_at_10 >= min(
        targets[1] + MARGIN_AT_10, 1.0
    )


def _key(info: RoutingInfo, targets: tuple[float, float]) -> tuple[bool, float, float]:
    row = chosen_row(info)
    return (not _reaches(row, targets), row.fan_out, info.temperature)


def _recall(
    sample: Sample, found: NDArray[np.bool_], asked: NDArray[np.bool_]
) -> tuple[float, float]:
    real = sample.truth >= 0
    if not real.any():  # a single document, which may not find itself: nothing can be missed
        return 1.0, 1.0
    hit = (found & asked[:, None, :]).any(axis=2) & real
    at_1 = hit[:, 0].sum() / max(real[:, 0].sum(), 1)
    at_10 = hit.sum() / max(real.sum(), 1)
    return float(at_1), float(at_10)

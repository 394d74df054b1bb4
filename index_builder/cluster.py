"""Cluster the corpus: spherical k-means, many clusters per shard, none of them empty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from app.errors import BuildError
from index_builder.handed import Handed, copied, received
from index_builder.workers import HERE, Workers

CLUSTERS_PER_SHARD = 128
# k-means wants this many points per cluster at least (faiss warns below 39).
MIN_PER_CLUSTER = 39
ITERATIONS = 20
CHUNK = 16384
# FAISS's own default: for so many points at once it multiplies matrices.
BLAS_FROM = 20


@dataclass(frozen=True, slots=True)
class Clusters:
    """A partition of the corpus.

    Attributes:
        centroids: (clusters, dim) float32, unit length.
        labels: (n,) int32, each document's cluster; every cluster has a document.
        affinity: (clusters, clusters) float64, symmetric: how many documents of one cluster have
            the other as their next nearest.
    """

    centroids: NDArray[np.float32]
    labels: NDArray[np.int32]
    affinity: NDArray[np.float64]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Documents per cluster."""
        return np.bincount(self.labels, minlength=len(self.centroids)).astype(np.int64)


def cluster_count(documents: int, shards: int) -> int:
    """How many clusters to make: 128 a shard, fewer for a small corpus; at least one a shard.

    Never more than documents.
    """
    wanted = max(shards, min(shards * CLUSTERS_PER_SHARD, documents // MIN_PER_CLUSTER))
    return min(wanted, documents)


def cluster(
    vectors: NDArray[np.float32], count: int, seed: int, workers: Workers = HERE
) -> Clusters:
    """Cluster unit vectors (n, dim) into at most ``count`` clusters, at most n.

    As many as there are distinct vectors, if those are fewer.
    """
    kmeans = faiss.Kmeans(
        vectors.shape[1],
        count,
        niter=ITERATIONS,
        spherical=True,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=256,
    )
    with _matrix_products():
        kmeans.train(np.ascontiguousarray(_sample(vectors, count * 256, seed)))
    centroids = np.asarray(kmeans.centroids, dtype=np.float32)
    return assign(vectors, normalised(centroids), workers)


@contextmanager
def _matrix_products() -> Iterator[None]:
    """Let FAISS multiply matrices, several times as fast.

    Searching has that switched off for the whole process, so that a question's scores do not
    depend on what is asked beside it (app.generation.shard_index). No answer is made here: k-means
    takes all its points at once, and only where the centroids end depends on the rounding.
    """
    before = faiss.cvar.distance_compute_blas_threshold
    faiss.cvar.distance_compute_blas_threshold = BLAS_FROM
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = before


def assign(
    vectors: NDArray[np.float32], centroids: NDArray[np.float32], workers: Workers = HERE
) -> Clusters:
    """Give every document to its nearest centroid; centroids that get none are dropped."""
    labels = np.empty(len(vectors), dtype=np.int32)
    second = np.empty(len(vectors), dtype=np.int32)
    parts = blocks(len(vectors))
    calls = ((workers.hand(vectors, part), centroids) for part in parts)
    for number, found in workers.each(nearest_two, calls):
        labels[parts[number]], second[parts[number]] = found
    used, compact = np.unique(labels, return_inverse=True)
    renumber = np.full(len(centroids), -1, dtype=np.int32)
    renumber[used] = np.arange(len(used), dtype=np.int32)
    labels = compact.astype(np.int32)
    return Clusters(centroids[used], labels, _affinity(labels, renumber[second], len(used)))


def kept(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int32],
    centres: NDArray[np.float32] | None = None,
    workers: Workers = HERE,
) -> Clusters:
    """Keep given clusters (0..c-1, none empty).

    Their centroids are ``centres`` (c, dim), or without them their members' means.
    """
    count = int(labels.max()) + 1
    if centres is None:
        sums = np.zeros((count, vectors.shape[1]), dtype=np.float64)
        np.add.at(sums, labels, vectors)
        centres = sums.astype(np.float32)
    centroids = normalised(centres)
    second = np.empty(len(vectors), dtype=np.int32)
    parts = blocks(len(vectors))
    calls = ((workers.hand(vectors, part), centroids, labels[part]) for part in parts)
    for number, found in workers.each(next_nearest, calls):
        second[parts[number]] = found
    return Clusters(centroids, labels, _affinity(labels, second, count))


def blocks(count: int) -> list[slice]:
    """Rows that are worked at together: always the same, for products round by their size."""
    return [slice(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]


def nearest_two(
    block: Handed, centroids: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Of each vector the nearest centroid, and the next."""
    scores = received(block) @ centroids.T
    best = scores.argmax(axis=1).astype(np.int32)
    scores[np.arange(len(scores)), best] = -np.inf
    return best, scores.argmax(axis=1).astype(np.int32)


def next_nearest(
    block: Handed, centroids: NDArray[np.float32], labels: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Of each vector the nearest centroid that is not its own."""
    scores = received(block) @ centroids.T
    scores[np.arange(len(scores)), labels] = -np.inf
    found: NDArray[np.int32] = scores.argmax(axis=1).astype(np.int32)
    return found


def normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows scaled to unit length; raises BuildError for a row without direction."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise BuildError("a cluster's mean vector is zero: its documents cancel each other out")
    return np.ascontiguousarray(vectors / lengths, dtype=np.float32)


def _affinity(
    labels: NDArray[np.int32], second: NDArray[np.int32], count: int
) -> NDArray[np.float64]:
    affinity = np.zeros((count, count))
    seen = second >= 0
    np.add.at(affinity, (labels[seen], second[seen]), 1.0)
    affinity += affinity.T
    np.fill_diagonal(affinity, 0.0)
    return affinity


def _sample(vectors: NDArray[np.float32], limit: int, seed: int) -> NDArray[np.float32]:
    if len(vectors) <= limit:
        return vectors
    rows = np.random.default_rng(seed).choice(len(vectors), limit, replace=False)
    return copied(vectors, np.sort(rows))

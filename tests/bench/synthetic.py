"""Vectors that are like a model's of real questions, as many as wanted: ``Recipe``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index_builder.cluster import MIN_PER_CLUSTER, cluster, normalised

CLUSTERS = 256
MIXED = 3
CONCENTRATION = 0.5
# In a smaller cluster every mixture would be nearly the same.
MIN_MEMBERS = 8
CHUNK = 10_000
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_DOCUMENTS, _QUESTIONS = 0, 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to draw vectors; see ``fit``.

    A vector is the cluster centre of a random real document, plus a residual, scaled to length 1.
    The residual is a mixture of three other members' residuals of that cluster (weights from a
    Dirichlet distribution, by their square roots, so that the mixture varies as much as its parts
    do), and as long as a random point between two members' residuals.

    Why neighbours are as far apart as real ones: the centres keep how large topics are and how
    near to each other; residuals of the same cluster keep in which directions its members differ,
    and there are few of those (residuals of any cluster make a cloud of full dimension, in which
    all distances are alike); their lengths keep how dense it is. A small concentration makes one
    part heavy in many mixtures, so that two vectors with the same heavy part are near duplicates,
    as paraphrases are in a real corpus. ``best_scores`` of both shows how alike they are. What it
    cannot give is a topic that no real document has: a million vectors fill the same clusters.

    Attributes:
        centres: (clusters, dim), unit length.
        residuals: (n, dim), each real vector less its centre, cluster after cluster.
        labels: (n,) cluster of each residual.
        starts: (clusters,) where a cluster's residuals begin.
        sizes: (clusters,) how many it has.
        seed: same seed, same vectors; the first n do not depend on how many are drawn.
    """

    centres: NDArray[np.float32]
    residuals: NDArray[np.float32]
    labels: NDArray[np.int64]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    seed: int

    def documents(self, count: int) -> Iterator[NDArray[np.float32]]:
        """``count`` vectors, chunk by chunk."""
        for chunk, start in enumerate(range(0, count, CHUNK)):
            yield self._draw(_DOCUMENTS, chunk)[: count - start]

    def questions(self, count: int) -> NDArray[np.float32]:
        """Vectors drawn like documents, none of them a document."""
        chunks = range(-(-count // CHUNK))
        return np.concatenate([self._draw(_QUESTIONS, chunk) for chunk in chunks])[:count]

    def _draw(self, stream: int, chunk: int) -> NDArray[np.float32]:
        rng = np.random.default_rng([self.seed, stream, chunk])
        labels = self.labels[rng.integers(0, len(self.labels), CHUNK)]

        def member() -> NDArray[np.float32]:
            own = (rng.random(CHUNK) * self.sizes[labels]).astype(np.int64)
            return self.residuals[self.starts[labels] + own]

        weights = np.sqrt(rng.dirichlet(np.full(MIXED, CONCENTRATION), CHUNK).astype(np.float32))
        mixed = sum(weights[:, part, None] * member() for part in range(MIXED))
        lengths = [np.linalg.norm(member(), axis=1, keepdims=True) for _ in range(2)]
        between = rng.random((CHUNK, 1), dtype=np.float32)
        length = between * lengths[0] + (1 - between) * lengths[1]
        return normalised(self.centres[labels] + normalised(mixed) * length)


def fit(real: NDArray[np.float32], seed: int) -> Recipe:
    """The recipe of real vectors (n, dim) of unit length."""
    clusters = cluster(real, max(1, min(CLUSTERS, len(real) // MIN_PER_CLUSTER)), seed)
    order = np.argsort(clusters.labels, kind="stable")
    order = order[clusters.sizes[clusters.labels[order]] >= MIN_MEMBERS]
    labels = clusters.labels[order].astype(np.int64)
    sizes = np.bincount(labels, minlength=len(clusters.centroids))
    residuals = real[order] - clusters.centroids[labels]
    return Recipe(clusters.centroids, residuals, labels, np.cumsum(sizes) - sizes, sizes, seed)


def repeated(vectors: NDArray[np.float32]) -> int:
    """How many vectors are exactly another one's."""
    keys = np.empty(len(vectors), dtype=np.int64)
    factors = np.random.default_rng(0).integers(1, 2**62, vectors.shape[1]) | 1
    for start in range(0, len(vectors), CHUNK):
        bits = np.ascontiguousarray(vectors[start : start + CHUNK]).view(np.int32)
        keys[start : start + CHUNK] = (bits * factors).sum(axis=1)  # a hash: it wraps around
    return len(keys) - len(np.unique(keys))


def best_scores(
    documents: NDArray[np.float32], questions: NDArray[np.float32]
) -> dict[str, list[float]]:
    """Quantiles of the first and the tenth nearest document's score."""
    scores = -np.partition(-(questions @ documents.T), range(10), axis=1)[:, :10]
    return {
        f"top-{place}": np.quantile(scores[:, place - 1], QUANTILES).round(3).tolist()
        for place in (1, 10)
    }

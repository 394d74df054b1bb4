"""Border copies: a document almost as near to a cluster of another shard is stored there too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index_builder.cluster import blocks
from index_builder.handed import Handed, received
from index_builder.workers import HERE, Workers

# Nearer than this share of the way to the border is no border.
MIN_RATIO = 0.75
MAX_COPIES = 2


@dataclass(frozen=True, slots=True)
class Candidates:
    """Copies that could be made, the worthiest first.

    Attributes:
        ordinals: (copies,) int64, the document of each.
        targets: (copies,) int64, the shard that would store it.
    """

    ordinals: NDArray[np.int64]
    targets: NDArray[np.int64]

    def take(self, budget: int, shards: int) -> list[NDArray[np.int64]]:
        """Per shard the ordinals of its copies, ascending, with ``budget`` copies in all."""
        count = max(budget, 0)
        ordinals, targets = self.ordinals[:count], self.targets[:count]
        return [np.sort(ordinals[targets == shard]) for shard in range(shards)]


def border_candidates(
    vectors: NDArray[np.float32],
    centroids: NDArray[np.float32],
    cluster_shard: NDArray[np.int32],
    home: NDArray[np.int32],
    shards: int,
    held: NDArray[np.bool_] | None = None,
    workers: Workers = HERE,
) -> Candidates:
    """Which documents other shards could store beside their own.

    A copy's worth is the ratio of two distances: to the nearest centroid of the home shard, over
    that to the nearest of the other shard; 1 is on the border. What is ``held`` already goes first:
    a budget grows and shrinks with the corpus, and copies at the cut-off would come and go with it.

    Args:
        vectors: (n, dim) unit vectors.
        centroids: (clusters, dim) unit vectors.
        cluster_shard: (clusters,) shard of each cluster.
        home: (n,) shard of each document.
        shards: how many; those without a cluster get no copies.
        held: (n, shards) which documents a shard of the base stores, or None.
        workers: what computes.
    """
    parts = blocks(len(vectors))
    calls = (
        (workers.hand(vectors, part), centroids, cluster_shard, home[part], shards)
        for part in parts
    )
    found = dict(workers.each(near_borders, calls))
    near = [found[number] for number in range(len(parts))]
    ordinals = [row + part.start for part, (row, _, _) in zip(parts, near, strict=True)]
    targets, ratios = [one[1] for one in near], [one[2] for one in near]
    ordinal, target = np.concatenate(ordinals), np.concatenate(targets)
    worth = np.concatenate(ratios)
    new = np.zeros(len(worth), dtype=np.bool_) if held is None else ~held[ordinal, target]
    best = np.lexsort((target, ordinal, -worth, new))
    return Candidates(ordinal[best], target[best])


def near_borders(
    block: Handed,
    centroids: NDArray[np.float32],
    cluster_shard: NDArray[np.int32],
    home: NDArray[np.int32],
    shards: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Of some documents, row, shard and ratio of each copy that is near enough."""
    scores = received(block) @ centroids.T
    nearest = np.full((len(scores), shards), -np.inf, dtype=np.float32)
    for shard in np.unique(cluster_shard):
        nearest[:, shard] = scores[:, cluster_shard == shard].max(axis=1)
    distance = np.sqrt(np.maximum(2.0 - 2.0 * nearest, 1e-12))
    rows = np.arange(len(home))
    ratio = distance[rows, home][:, None] / distance
    ratio[rows, home] = 0.0
    if shards - 1 > MAX_COPIES:
        floor = np.partition(ratio, shards - MAX_COPIES, axis=1)[:, shards - MAX_COPIES]
        ratio[ratio < floor[:, None]] = 0.0
    row, shard_of = np.nonzero(ratio >= MIN_RATIO)
    return row, shard_of, ratio[row, shard_of]

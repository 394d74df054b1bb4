"""Border copies: a document almost as near to a cluster of another shard is stored there too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK = 16384
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
    """
    filled = np.unique(cluster_shard)
    ordinals: list[NDArray[np.int64]] = []
    targets: list[NDArray[np.int64]] = []
    ratios: list[NDArray[np.float64]] = []
    for start in range(0, len(vectors), CHUNK):
        scores = vectors[start : start + CHUNK] @ centroids.T
        nearest = np.full((len(scores), shards), -np.inf, dtype=np.float32)
        for shard in filled:
            nearest[:, shard] = scores[:, cluster_shard == shard].max(axis=1)
        distance = np.sqrt(np.maximum(2.0 - 2.0 * nearest, 1e-12))
        own = home[start : start + CHUNK]
        rows = np.arange(len(own))
        ratio = distance[rows, own][:, None] / distance
        ratio[rows, own] = 0.0
        if shards - 1 > MAX_COPIES:
            floor = np.partition(ratio, shards - MAX_COPIES, axis=1)[:, shards - MAX_COPIES]
            ratio[ratio < floor[:, None]] = 0.0
        row, shard = np.nonzero(ratio >= MIN_RATIO)
        ordinals.append(row + start)
        targets.append(shard)
        ratios.append(ratio[row, shard])
    ordinal, target = np.concatenate(ordinals), np.concatenate(targets)
    worth = np.concatenate(ratios)
    new = np.zeros(len(worth), dtype=np.bool_) if held is None else ~held[ordinal, target]
    best = np.lexsort((target, ordinal, -worth, new))
    return Candidates(ordinal[best], target[best])

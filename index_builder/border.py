"""Border copies: a document almost as near to a cluster of another shard is stored there too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CHUNK = 16384
# Nearer than this share of the way to the border is no border.
MIN_RATIO = 0.75
MAX_COPIES = 2


def border_copies(
    vectors: NDArray[np.float32],
    centroids: NDArray[np.float32],
    cluster_shard: NDArray[np.int32],
    home: NDArray[np.int32],
    shards: int,
    budget: int,
    held: NDArray[np.bool_] | None = None,
) -> list[NDArray[np.int64]]:
    """Which documents each shard stores beside its own.

    A copy's worth is the ratio of two distances: to the nearest centroid of the home shard, over
    that to the nearest of the other shard; 1 is on the border. The worthiest are taken until the
    budget is spent. What is ``held`` already goes first: the budget grows and shrinks with the
    corpus, and copies at the cut-off would come and go with it.

    Args:
        vectors: (n, dim) unit vectors.
        centroids: (clusters, dim) unit vectors.
        cluster_shard: (clusters,) shard of each cluster.
        home: (n,) shard of each document.
        shards: how many; those without a cluster get no copies.
        budget: how many copies in all.
        held: (n, shards) which documents a shard of the base stores, or None.

    Returns: per shard the ordinals of its copies, ascending.
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
    best = np.lexsort((target, ordinal, -worth, new))[: max(budget, 0)]
    ordinal, target = ordinal[best], target[best]
    return [np.sort(ordinal[target == shard]) for shard in range(shards)]

"""Pack clusters onto shards: balanced by size, neighbours together. Pure functions.

A cut of the cluster graph (edges: how many documents lie between two clusters) into equal parts, by
a balanced start and Kernighan-Lin moves and swaps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SLACK = 0.05  # a shard may exceed the mean by this much
STARTS = 4


def place(
    sizes: NDArray[np.int64],
    affinity: NDArray[np.float64],
    centroids: NDArray[np.float32],
    shards: int,
    seed: int,
) -> NDArray[np.int32]:
    """Assign each cluster to one shard; fewer clusters than shards leave the last shards empty.

    Args:
        sizes: (clusters,) documents per cluster.
        affinity: (clusters, clusters) symmetric, zero diagonal.
        centroids: (clusters, dim) unit vectors.
        shards: how many; every shard gets at least one cluster where there are enough.
        seed: same seed, same placement.

    Returns: (clusters,) int32 shard numbers.
    """
    if len(sizes) <= shards:
        return np.arange(len(sizes), dtype=np.int32)
    capacity = max(sizes.sum() / shards * (1 + SLACK), float(sizes.max()))
    rng = np.random.default_rng(seed)
    best: NDArray[np.int32] | None = None
    best_cut = np.inf
    for _ in range(STARTS if shards > 1 else 1):
        placed = _start(sizes, centroids, shards, capacity, rng)
        _refine(placed, sizes, affinity, shards, capacity)
        cut = float(affinity[placed[:, None] != placed[None, :]].sum())
        if cut < best_cut:
            best, best_cut = placed, cut
    assert best is not None  # noqa: S101  # the loop runs at least once
    return best


def _start(
    sizes: NDArray[np.int64],
    centroids: NDArray[np.float32],
    shards: int,
    capacity: float,
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """Balanced k-means over the centroids: the most decided clusters choose first."""
    centers = centroids[rng.choice(len(centroids), shards, replace=False)]
    placed = np.zeros(len(sizes), dtype=np.int32)
    for _ in range(8):
        scores = centroids @ centers.T
        ranked = np.sort(scores, axis=1)
        regret = ranked[:, -1] - (ranked[:, -2] if shards > 1 else 0)
        load = np.zeros(shards)
        filled = np.zeros(shards, dtype=np.int64)
        order = np.argsort(-regret, kind="stable")
        for left, cluster in zip(range(len(order), 0, -1), order, strict=True):
            open_ = load + sizes[cluster] <= capacity
            empty = filled == 0
            if empty.sum() >= left:
                open_ = empty
            elif not open_.any():
                open_ = load == load.min()
            shard = int(np.where(open_, scores[cluster], -np.inf).argmax())
            placed[cluster] = shard
            load[shard] += sizes[cluster]
            filled[shard] += 1
        for shard in range(shards):
            own = placed == shard
            center = (centroids[own] * sizes[own, None]).sum(axis=0)
            centers[shard] = center / max(float(np.linalg.norm(center)), 1e-12)
    return placed


def _refine(
    placed: NDArray[np.int32],
    sizes: NDArray[np.int64],
    affinity: NDArray[np.float64],
    shards: int,
    capacity: float,
) -> None:
    """Improve ``placed`` in place: the best move, or where there is none the best swap."""
    one_hot = np.eye(shards)[placed]
    tied = affinity @ one_hot  # (clusters, shards): ties of each cluster to each shard
    load = one_hot.T @ sizes
    for _ in range(20 * len(sizes)):
        changes = _best_move(placed, sizes, tied, load, capacity) or _best_swap(
            placed, sizes, affinity, tied, load, capacity
        )
        if not changes:
            return
        for moved, target in changes:
            source = placed[moved]
            placed[moved] = target
            tied[:, source] -= affinity[:, moved]
            tied[:, target] += affinity[:, moved]
            load[source] -= sizes[moved]
            load[target] += sizes[moved]


def _best_move(
    placed: NDArray[np.int32],
    sizes: NDArray[np.int64],
    tied: NDArray[np.float64],
    load: NDArray[np.float64],
    capacity: float,
) -> list[tuple[int, int]]:
    """The cluster and shard that lower the cut most, as a list of one, or none."""
    shards = tied.shape[1]
    gain = tied - tied[np.arange(len(sizes)), placed][:, None]
    fits = load[None, :] + sizes[:, None] <= capacity
    fits &= (np.bincount(placed, minlength=shards)[placed] > 1)[:, None]
    gain[~fits] = 0.0
    cluster, shard = divmod(int(gain.argmax()), shards)
    return [(cluster, shard)] if gain[cluster, shard] > 1e-9 else []


def _best_swap(
    placed: NDArray[np.int32],
    sizes: NDArray[np.int64],
    affinity: NDArray[np.float64],
    tied: NDArray[np.float64],
    load: NDArray[np.float64],
    capacity: float,
) -> list[tuple[int, int]]:
    """Two clusters that lower the cut most by changing places, or none."""
    gain = tied - tied[np.arange(len(sizes)), placed][:, None]
    to_other = gain[:, placed]  # (a, b): gain of a joining b's shard
    after = load[placed][:, None] - sizes[:, None] + sizes[None, :]
    swaps = to_other + to_other.T - 2 * affinity
    too_full = after > capacity
    swaps[(placed[:, None] == placed[None, :]) | too_full | too_full.T] = 0.0
    first, second = divmod(int(swaps.argmax()), len(sizes))
    if swaps[first, second] <= 1e-9:
        return []
    return [(first, int(placed[second])), (second, int(placed[first]))]

"""Adaptive routing: which shards may hold the answers to a question. Pure functions.

The scores of the nearest centroids become a distribution (softmax with a temperature); its mass is
added up per shard; shards are asked in that order until the mass reaches a threshold. Higher score
is nearer, everywhere: a score is an inner product of unit vectors, never a distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import GenerationError
from app.generation.arrays import read_array
from app.generation.manifest import Manifest

Probe = Literal["auto", "all"] | int

CENTROIDS = "routing/centroids.npy"
CLUSTER_SHARD = "routing/cluster_shard.npy"
# A threshold from here on may ask for shards that have no mass at all.
SURE = 1 - 1e-9
# Where fewer documents pass a filter than this, every shard that may hold one is asked.
FEW = 100


class Passed(NamedTuple):
    """What passes a filter (see filtering.py).

    Attributes:
        documents: (clusters,) float64, about how many of each; 0 where none does.
        temperature: of the softmax, as measured under filters.
        threshold: mass at which ``auto`` stops asking, likewise.
    """

    documents: NDArray[np.float64]
    temperature: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Router:
    """What a gateway knows of the index.

    Attributes:
        centroids: (clusters, dim) float32, unit length.
        cluster_shard: (clusters,) int32, the one shard that owns each cluster.
        shards: number of shards. One that owns no cluster is empty and never asked.
        temperature: of the softmax; smaller is more certain.
        neighbours: how many nearest centroids count.
        threshold: mass, 0 to 1, at which ``auto`` stops asking.
    """

    centroids: NDArray[np.float32]
    cluster_shard: NDArray[np.int32]
    shards: int
    temperature: float
    neighbours: int
    threshold: float

    def __post_init__(self) -> None:
        """Refuse a router that could lose or misdirect a cluster."""
        clusters = len(self.centroids)
        if self.cluster_shard.shape != (clusters,) or clusters == 0:
            raise GenerationError("routing: one shard per centroid is needed")
        if not set(self.cluster_shard.tolist()) <= set(range(self.shards)):
            raise GenerationError("routing: a cluster belongs to a shard that does not exist")
        if not np.isfinite(self.centroids).all():
            raise GenerationError("routing: a centroid is not finite")

    @classmethod
    def load(cls, directory: Path, manifest: Manifest) -> Router:
        """Load the routing part of a generation; raises GenerationError."""
        centroids = read_array(directory / CENTROIDS, np.float32)
        cluster_shard = read_array(directory / CLUSTER_SHARD, np.int32)
        if centroids.shape != (manifest.clusters, manifest.model.dim):
            raise GenerationError(
                f"{directory / CENTROIDS} has shape {centroids.shape}, the manifest says "
                f"{(manifest.clusters, manifest.model.dim)}"
            )
        for shard in manifest.shards:
            if tuple(np.flatnonzero(cluster_shard == shard.shard)) != shard.clusters:
                raise GenerationError(
                    f"{directory / CLUSTER_SHARD} and the manifest disagree on shard {shard.shard}"
                )
        return cls(
            centroids=np.ascontiguousarray(centroids),
            cluster_shard=cluster_shard,
            shards=len(manifest.shards),
            temperature=manifest.routing.temperature,
            neighbours=manifest.routing.neighbours,
            threshold=manifest.routing.threshold,
        )

    def probe(
        self,
        queries: NDArray[np.float32],
        probe: Probe = "auto",
        passing: Passed | None = None,
    ) -> NDArray[np.bool_]:
        """Which shards each question asks.

        Args:
            queries: (n, dim) unit vectors.
            probe: ``auto`` for the threshold, ``all`` that hold documents, or a number of them.
            passing: what passes the filter of these questions; None without one.

        Returns: (n, shards) booleans, at least one true in each row; none where nothing passes.
        """
        if passing is not None:
            return self._asked_filtered(queries, probe, passing)
        if probe == "auto" and len(queries) == 1 and self.threshold < SURE:
            return self._asked_by_one(queries[0])
        filled = self.holding()
        if probe == "all":
            return np.tile(filled, (len(queries), 1))
        scores = centroid_scores(queries, self.centroids)
        mass, order = shard_mass(
            scores, self.cluster_shard, self.shards, self.temperature, self.neighbours
        )
        if probe == "auto":
            return ask_until(mass, order, self.threshold) & filled
        return ask_first(order, probe) & filled

    def holding(self, passing: Passed | None = None) -> NDArray[np.bool_]:
        """Which shards own a cluster, or one that holds what passes a filter: (shards,)."""
        owners = (
            self.cluster_shard if passing is None else self.cluster_shard[passing.documents > 0]
        )
        return np.bincount(owners, minlength=self.shards) > 0

    def _asked_filtered(
        self, queries: NDArray[np.float32], probe: Probe, passing: Passed
    ) -> NDArray[np.bool_]:
        """The same where only documents that pass a filter count."""
        live = np.flatnonzero(passing.documents)
        owners, holding = self.cluster_shard[live], self.holding(passing)
        found = passing.documents[live]
        if probe == "all" or not len(live) or (probe == "auto" and found.sum() < FEW):
            return np.tile(holding, (len(queries), 1))
        scores = centroid_scores(queries, self.centroids[live])
        mass, order = shard_mass(
            scores, owners, self.shards, passing.temperature, self.neighbours, np.sqrt(found)
        )
        if probe == "auto":
            return ask_until(mass, order, passing.threshold) & holding
        return ask_first(order, probe) & holding

    def _asked_by_one(self, query: NDArray[np.float32]) -> NDArray[np.bool_]:
        """What ``probe`` says of one question with ``auto``, at a third of the cost.

        Where the threshold is not 1, mass alone decides: a shard without any is never asked.
        """
        scores = np.dot(self.centroids, query)
        owners = self.cluster_shard
        if self.neighbours < len(scores):
            floor = np.partition(scores, -self.neighbours)[-self.neighbours]
            near = np.flatnonzero(scores >= floor)
            scores, owners = scores[near], owners[near]
        weights = np.exp((scores.astype(np.float64) - float(scores.max())) / self.temperature)
        mass = np.bincount(owners, weights, minlength=self.shards).tolist()
        enough = self.threshold * sum(mass)
        asked = np.zeros((1, self.shards), dtype=np.bool_)
        before = 0.0
        for shard in sorted(range(self.shards), key=mass.__getitem__, reverse=True):
            if before >= enough and before > 0:
                break
            asked[0, shard] = True
            before += mass[shard]
        return asked


def centroid_scores(
    queries: NDArray[np.float32], centroids: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Inner products (n, clusters); one product per question, so that no row depends on another."""
    scores = np.empty((len(queries), len(centroids)), dtype=np.float32)
    for row, query in enumerate(queries):
        np.dot(centroids, query, out=scores[row])
    return scores


def shard_mass(
    scores: NDArray[np.float32],
    cluster_shard: NDArray[np.int32],
    shards: int,
    temperature: float,
    neighbours: int,
    worth: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Mass per shard and the order in which to ask.

    Args:
        scores: (n, clusters).
        cluster_shard: (clusters,).
        shards: number of shards.
        temperature: of the softmax.
        neighbours: how many nearest centroids count.
        worth: (clusters,) by which the weight of each is multiplied.

    Returns: mass (n, shards), rows summing to 1; order (n, shards), heaviest first; shards of
        equal mass (those without any) by their best centroid, then by number.
    """
    rows, clusters = scores.shape
    wide = scores.astype(np.float64)
    near = min(neighbours, clusters)
    weights = np.exp((wide - wide.max(axis=1, keepdims=True)) / temperature)
    if near < clusters:
        floor = np.partition(wide, clusters - near, axis=1)[:, clusters - near, None]
        weights = np.where(wide >= floor, weights, 0.0)
    if worth is not None:
        weights *= worth
    weights /= weights.sum(axis=1, keepdims=True)
    mass = np.empty((rows, shards))
    best = np.full((rows, shards), -np.inf)
    for row in range(rows):
        mass[row] = np.bincount(cluster_shard, weights[row], minlength=shards)
        np.maximum.at(best[row], cluster_shard, wide[row])
    numbers = np.broadcast_to(np.arange(shards), (rows, shards))
    order = np.lexsort((numbers, -best, -mass), axis=1)
    return mass, order


def ask_until(
    mass: NDArray[np.float64], order: NDArray[np.intp], threshold: float
) -> NDArray[np.bool_]:
    """Ask shards in ``order`` until their mass reaches ``threshold``; (n, shards) booleans."""
    sorted_mass = np.take_along_axis(mass, order, axis=1)
    before = np.cumsum(sorted_mass, axis=1) - sorted_mass
    asked = before < threshold
    asked[:, 0] = True
    result = np.zeros(mass.shape, dtype=np.bool_)
    np.put_along_axis(result, order, asked, axis=1)
    return result


def ask_first(order: NDArray[np.intp], count: int) -> NDArray[np.bool_]:
    """Ask the first ``count`` shards (at least one, at most all); (n, shards) booleans."""
    result = np.zeros(order.shape, dtype=np.bool_)
    np.put_along_axis(result, order[:, : max(count, 1)], True, axis=1)
    return result

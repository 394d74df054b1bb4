"""Where everything goes: clusters, their shards, and which rows of which shard hold a document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.generation.manifest_parts import StorageRow
from index_builder.base import Base
from index_builder.border import border_candidates
from index_builder.cluster import Clusters, cluster, cluster_count, kept
from index_builder.corpus.ingest import Ingested
from index_builder.placement import place
from index_builder.storage import Placed
from index_builder.texts import Texts
from index_builder.workers import HERE, Workers

# Documents in their shards, centroids and their shards -> stored documents over documents, and what
# other amounts would cost.
ChooseStorage: TypeAlias = Callable[
    [Placed, NDArray[np.float32], NDArray[np.int32]], tuple[float, tuple[StorageRow, ...]]
]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything goes. A document's place is that in the corpus, from 0.

    Attributes:
        centroids: (clusters, dim) float32, unit length.
        cluster_shard: (clusters,) int32, the shard of each cluster.
        texts: whose vectors they are.
        stored: per shard the places of the texts that it stores, own ones and border copies, in
            row order.
        numbers: (n,) int64, the ordinal of each document; without a base its place.
        clusters: (t,) int32, the cluster of each text.
        storage: what other amounts of copies would have cost, where they were measured.
    """

    centroids: NDArray[np.float32]
    cluster_shard: NDArray[np.int32]
    texts: Texts
    stored: list[NDArray[np.int64]]
    numbers: NDArray[np.int64]
    clusters: NDArray[np.int32]
    storage: tuple[StorageRow, ...] = ()

    def ordinals(self, shard: int) -> NDArray[np.int64]:
        """The ordinals that a shard stores, in row order."""
        return self.numbers[self.documents(shard)]

    def documents(self, shard: int) -> NDArray[np.int64]:
        """The places of the documents that a shard stores, in row order."""
        return self.texts.owners[self.stored[shard]]


def lay_out(
    vectors: NDArray[np.float32],
    texts: Texts,
    labels: NDArray[np.int32] | None,
    centres: NDArray[np.float32] | None = None,
    *,
    shards: int,
    choose: ChooseStorage,
    seed: int,
    workers: Workers = HERE,
) -> Layout:
    """Cluster and place anew.

    Args:
        vectors: (t, dim) unit vectors.
        texts: whose they are.
        labels: (n,) given clusters to keep, or None.
        centres: (clusters, dim) unit vectors, their centroids; None for their means.
        shards: how many.
        choose: how much is stored.
        seed: of everything random.
        workers: what computes.

    Fewer distinct vectors than shards leave shards without clusters and documents.
    """
    if labels is not None:
        clusters = kept(vectors, labels, centres, workers)
    else:
        clusters = cluster(vectors, cluster_count(len(vectors), shards), seed, workers)
    cluster_shard = place(clusters.sizes, clusters.affinity, clusters.centroids, shards, seed)
    stored, measured = _stored(vectors, clusters, cluster_shard, shards, choose, None, workers)
    return Layout(
        clusters.centroids,
        cluster_shard,
        texts,
        [np.sort(own) for own in stored],
        np.arange(texts.documents),
        clusters.labels,
        measured,
    )


def lay_out_on(
    base: Base,
    vectors: NDArray[np.float32],
    texts: Texts,
    corpus: Ingested,
    *,
    choose: ChooseStorage,
    workers: Workers = HERE,
) -> Layout:
    """Keep the base's clusters, their shards, and whatever row it can; see ``lay_out``.

    Raises: BuildError when the base has grown out of balance.
    """
    clusters = base.clusters(vectors, workers)
    numbers = base.number(corpus)
    own = texts.identities(numbers)
    stored, measured = _stored(
        vectors, clusters, base.cluster_shard, base.shards, choose, base.held(own), workers
    )
    return Layout(
        base.centroids,
        base.cluster_shard,
        texts,
        [base.arrange(shard, places, own) for shard, places in enumerate(stored)],
        numbers,
        clusters.labels,
        measured,
    )


def _stored(
    vectors: NDArray[np.float32],
    clusters: Clusters,
    cluster_shard: NDArray[np.int32],
    shards: int,
    choose: ChooseStorage,
    held: NDArray[np.bool_] | None,
    workers: Workers,
) -> tuple[list[NDArray[np.int64]], tuple[StorageRow, ...]]:
    """Per shard the places it stores: its own documents, then border copies."""
    home = cluster_shard[clusters.labels]
    candidates = border_candidates(
        vectors, clusters.centroids, cluster_shard, home, shards, held, workers
    )
    placed = Placed(home, candidates, shards)
    storage, measured = choose(placed, clusters.centroids, cluster_shard)
    copies = candidates.take(int((storage - 1.0) * len(vectors)) if shards > 1 else 0, shards)
    stored = [
        np.concatenate([np.flatnonzero(home == shard), copies[shard]]).astype(np.int64)
        for shard in range(shards)
    ]
    return stored, measured

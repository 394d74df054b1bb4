"""Clustering: that making it fast changes nothing outside it."""

import faiss
import numpy as np
import pytest

from app.errors import BuildError
from app.generation import shard_index
from index_builder.cluster import cluster

VECTORS = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)


def test_clustering_leaves_searching_without_matrix_products() -> None:
    assert shard_index.NAME  # imported: it is what switches them off
    before = faiss.cvar.distance_compute_blas_threshold
    assert before == 1 << 30
    cluster(VECTORS, 12, seed=1)
    assert faiss.cvar.distance_compute_blas_threshold == before
    with pytest.raises(BuildError):
        cluster(np.zeros((3, 8), dtype=np.float32), 2, seed=1)
    assert faiss.cvar.distance_compute_blas_threshold == before


def test_the_same_vectors_and_seed_give_the_same_clusters() -> None:
    one, other = cluster(VECTORS, 12, seed=1), cluster(VECTORS, 12, seed=1)
    assert np.array_equal(one.centroids, other.centroids)
    assert np.array_equal(one.labels, other.labels)
    assert np.allclose(np.linalg.norm(one.centroids, axis=1), 1, atol=1e-5)
    assert one.sizes.min() > 0

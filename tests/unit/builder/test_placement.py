"""Placement: every cluster on one shard, no shard empty, balanced, neighbours together."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from index_builder.border import border_candidates
from index_builder.placement import SLACK, place


def unit(rng, rows, dim=8):
    vectors = rng.normal(size=(rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(0, 40))
def test_every_shard_has_clusters_and_none_is_overfull(seed, shards, more):
    rng = np.random.default_rng(seed)
    clusters = shards + more
    sizes = rng.integers(1, 100, clusters)
    ties = rng.integers(0, 10, (clusters, clusters)).astype(float)
    affinity = np.triu(ties, 1) + np.triu(ties, 1).T
    placed = place(sizes, affinity, unit(rng, clusters), shards, seed=1)
    assert set(placed.tolist()) == set(range(shards))
    load = np.bincount(placed, weights=sizes, minlength=shards)
    # A greedy packing may overshoot by one cluster, never by more.
    assert load.max() <= sizes.sum() / shards * (1 + SLACK) + sizes.max()


def test_two_groups_of_neighbours_stay_together():
    affinity = np.zeros((8, 8))
    for group in (range(4), range(4, 8)):
        for a in group:
            for b in group:
                affinity[a, b] = 10 * (a != b)
    affinity[0, 4] = affinity[4, 0] = 1
    centroids = unit(np.random.default_rng(0), 8)
    placed = place(np.full(8, 5), affinity, centroids, 2, seed=1)
    assert len(set(placed[:4].tolist())) == len(set(placed[4:].tolist())) == 1


def test_the_same_seed_gives_the_same_placement():
    rng = np.random.default_rng(3)
    sizes, centroids = rng.integers(1, 50, 30), unit(rng, 30)
    affinity = np.abs(centroids @ centroids.T) * (1 - np.eye(30))
    first = place(sizes, affinity, centroids, 4, seed=7)
    assert (first == place(sizes, affinity, centroids, 4, seed=7)).all()


def test_fewer_clusters_than_shards_leave_shards_empty():
    placed = place(np.ones(3, int), np.zeros((3, 3)), np.eye(3, dtype=np.float32), 4, seed=1)
    assert placed.tolist() == [0, 1, 2]


def test_an_empty_shard_gets_no_copies():
    centroids = np.array([[1, 0], [0, 1]], dtype=np.float32)
    found = border_candidates(
        centroids, centroids, np.array([0, 2], np.int32), np.array([0, 2], np.int32), 4
    )
    assert [len(own) for own in found.take(9, 4)] == [0, 0, 0, 0]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(0, 60))
def test_border_copies_keep_the_budget_and_never_repeat_the_home(seed, shards, budget):
    rng = np.random.default_rng(seed)
    vectors, centroids = unit(rng, 120), unit(rng, 4 * shards)
    cluster_shard = np.tile(np.arange(shards), 4).astype(np.int32)
    home = cluster_shard[(vectors @ centroids.T).argmax(axis=1)]
    found = border_candidates(vectors, centroids, cluster_shard, home, shards)
    copies = found.take(budget, shards)
    assert sum(map(len, copies)) <= budget
    for shard, ordinals in enumerate(copies):
        assert (home[ordinals] != shard).all()
        assert len(set(ordinals.tolist())) == len(ordinals)


def test_the_nearest_to_the_border_is_copied_first():
    centroids = np.array([[1, 0], [0, 1]], dtype=np.float32)
    angles = np.array([0.05, 0.40, 0.78], dtype=np.float32)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = border_candidates(
        vectors, centroids, np.array([0, 1], np.int32), np.zeros(3, np.int32), 2
    )
    assert [c.tolist() for c in found.take(1, 2)] == [[], [2]]


def test_a_copy_that_is_held_goes_before_a_worthier_one():
    centroids = np.array([[1, 0], [0, 1]], dtype=np.float32)
    angles = np.array([0.05, 0.70, 0.78], dtype=np.float32)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for held, copied in ((0, 2), (1, 1)):  # what is held but far from the border goes
        holds = np.zeros((3, 2), dtype=bool)
        holds[held, 1] = True
        found = border_candidates(
            vectors, centroids, np.array([0, 1], np.int32), np.zeros(3, np.int32), 2, holds
        )
        assert [c.tolist() for c in found.take(1, 2)] == [[], [copied]]

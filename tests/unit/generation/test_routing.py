"""Routing is checked against a plain reading of its definition, question by question."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import GenerationError
from app.generation.routing import Router, ask_first, ask_until, shard_mass


def unit(rng: np.random.Generator, rows: int, dim: int) -> np.ndarray:
    vectors = rng.normal(size=(rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def brute_force(query, router: Router) -> list[int]:
    """The definition, without numpy's axes: the shards that one question asks."""
    scores = [float(np.dot(query, centroid)) for centroid in router.centroids]
    nearest = sorted(range(len(scores)), key=lambda c: -scores[c])[: router.neighbours]
    weights = {c: math.exp((scores[c] - max(scores)) / router.temperature) for c in nearest}
    total = sum(weights.values())
    mass = [0.0] * router.shards
    for cluster, weight in weights.items():
        mass[router.cluster_shard[cluster]] += weight / total
    asked, reached = [], 0.0
    for shard in sorted(range(router.shards), key=lambda s: -mass[s]):
        if asked and reached >= router.threshold - 1e-9:
            break
        asked.append(shard)
        reached += mass[shard]
    return sorted(asked)


@st.composite
def routers(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shards = draw(st.integers(1, 6))
    clusters = shards + draw(st.integers(0, 30))
    owner = np.concatenate([np.arange(shards), rng.integers(0, shards, clusters - shards)])
    router = Router(
        centroids=unit(rng, clusters, 8),
        cluster_shard=rng.permutation(owner).astype(np.int32),
        shards=shards,
        temperature=draw(st.sampled_from([0.02, 0.05, 0.2])),
        neighbours=draw(st.integers(1, 40)),
        threshold=draw(st.floats(0.1, 0.99)),
    )
    return router, unit(rng, draw(st.integers(1, 5)), 8)


@settings(max_examples=300, deadline=None)
@given(routers())
def test_a_question_alone_asks_what_it_asks_among_others(drawn):
    router, queries = drawn
    alone = [router.probe(query[None])[0].tolist() for query in queries]
    assert alone == router.probe(np.concatenate([queries, queries]))[: len(queries)].tolist()


@settings(max_examples=200, deadline=None)
@given(routers())
def test_auto_asks_what_the_definition_says(drawn):
    router, queries = drawn
    scores = queries @ router.centroids.T
    mass, order = shard_mass(
        scores, router.cluster_shard, router.shards, router.temperature, router.neighbours
    )
    # Where the sum lies on the threshold, rounding decides; such a draw says nothing.
    sums = np.cumsum(np.take_along_axis(mass, order, axis=1), axis=1)
    near = np.abs(sums - router.threshold).min(axis=1) < 1e-6
    asked = router.probe(queries)
    for row in np.flatnonzero(~near):
        assert np.flatnonzero(asked[row]).tolist() == brute_force(queries[row], router)


@settings(max_examples=100, deadline=None)
@given(routers())
def test_every_probe_asks_the_shard_of_the_nearest_centroid_or_a_heavier_one(drawn):
    router, queries = drawn
    nearest = router.cluster_shard[(queries @ router.centroids.T).argmax(axis=1)]
    rows = np.arange(len(queries))
    narrow = Router(
        router.centroids, router.cluster_shard, router.shards, 0.001, router.neighbours, 0.5
    )
    # As the temperature falls, the nearest centroid's shard is the only one with mass.
    scores = np.sort(queries @ router.centroids.T, axis=1)
    clear = np.ones(len(rows), bool)
    if scores.shape[1] > 1:
        clear = scores[:, -1] - scores[:, -2] > 0.02
    assert narrow.probe(queries, 1)[rows, nearest][clear].all()
    assert (router.probe(queries, "all")).all()


def test_the_nearest_cluster_is_asked_and_never_the_farthest():
    """The fault of the course project: an argmin over similarities."""
    centroids = np.eye(4, dtype=np.float32)
    router = Router(centroids, np.arange(4, dtype=np.int32), 4, 0.05, 64, 0.9)
    query = np.array([[0.9, 0.3, 0.2, 0.1]], dtype=np.float32)
    query /= np.linalg.norm(query)
    assert np.flatnonzero(router.probe(query)[0]).tolist() == [0]
    assert np.flatnonzero(router.probe(query, 2)[0]).tolist() == [0, 1]


@settings(max_examples=100, deadline=None)
@given(routers(), st.integers(1, 8))
def test_a_number_asks_so_many_and_more_threshold_never_asks_fewer(drawn, count):
    router, queries = drawn
    assert (router.probe(queries, count).sum(axis=1) == min(count, router.shards)).all()
    mass, order = shard_mass(
        queries @ router.centroids.T, router.cluster_shard, router.shards, 0.05, 64
    )
    fewer, more = ask_until(mass, order, 0.5), ask_until(mass, order, 0.9)
    assert (more | ~fewer).all()
    assert (ask_first(order, 1).sum(axis=1) == 1).all()
    assert np.allclose(mass.sum(axis=1), 1.0)


@settings(max_examples=50, deadline=None)
@given(routers())
def test_a_question_is_routed_the_same_alone_and_beside_others(drawn):
    router, queries = drawn
    together = router.probe(queries)
    for row in range(len(queries)):
        assert (router.probe(queries[row : row + 1])[0] == together[row]).all()


@pytest.mark.parametrize(
    ("owner", "shards"), [([0, 0, 3], 3), ([0, 1, 5], 3), ([0, 1], 2)], ids=str
)
def test_an_orphan_cluster_is_refused(owner, shards):
    """The course project had more centroids than shards and sent the orphan to a neighbour."""
    with pytest.raises(GenerationError, match="routing"):
        Router(np.eye(3, dtype=np.float32), np.array(owner, np.int32), shards, 0.05, 64, 0.9)


@settings(max_examples=50, deadline=None)
@given(routers(), st.integers(1, 6))
def test_a_shard_without_clusters_is_never_asked(drawn, empty):
    full, queries = drawn
    router = Router(
        full.centroids,
        full.cluster_shard,
        full.shards + empty,
        full.temperature,
        full.neighbours,
        full.threshold,
    )
    for probe in ("auto", "all", 1, full.shards, full.shards + empty):
        assert (router.probe(queries, probe)[:, : full.shards] == full.probe(queries, probe)).all()
        assert not router.probe(queries, probe)[:, full.shards :].any()

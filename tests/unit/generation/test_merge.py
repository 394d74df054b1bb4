"""Merging against brute force: sort everything, drop what came before."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.generation.merge import merge

documents = st.dictionaries(
    st.integers(0, 50), st.sampled_from([0.1, 0.25, 0.5, 0.75, 0.9]), max_size=20
)


@settings(max_examples=300, deadline=None)
@given(documents, st.lists(st.sets(st.integers(0, 50)), max_size=4), st.integers(1, 12))
def test_merge_ranks_by_score_then_ordinal_and_counts_copies_once(scored, shards, k):
    # Every document is on the first shard; the others hold border copies of some.
    held = [sorted(scored), *[sorted(shard & scored.keys()) for shard in shards]]
    ordinals = np.array([o for shard in held for o in shard], dtype=np.int64)
    scores = np.array([scored[o] for shard in held for o in shard], dtype=np.float32)
    best = merge(ordinals.tolist(), scores.tolist(), k)
    expected = sorted(scored, key=lambda o: (-scored[o], o))[:k]
    assert ordinals[best].tolist() == expected
    assert np.allclose(scores[best], [scored[o] for o in expected])


def test_merging_nothing_gives_nothing():
    assert merge([], [], 5) == []

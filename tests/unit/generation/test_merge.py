"""Merging against brute force: sort everything, drop what came before."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.generation.manifest_parts import Rescoring
from app.generation.merge import Pool, merge, merge_rescored, within_reach

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


some = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.75, 0.9])


@settings(max_examples=500, deadline=None)
@given(
    scored=st.dictionaries(st.integers(0, 50), st.tuples(some, some), max_size=30),
    homes=st.lists(st.integers(0, 3), min_size=51, max_size=51),
    copies=st.sets(st.tuples(st.integers(0, 50), st.integers(0, 3)), max_size=20),
    named=st.sets(st.integers(0, 50), max_size=6),
    k=st.integers(1, 12),
    rescoring=st.builds(Rescoring, st.sampled_from([0.1, 0.2, 1.0]), st.integers(1, 14)),
)
def test_shards_send_enough_for_the_ranking_of_one_machine(
    scored, homes, copies, named, k, rescoring
):
    """However documents are spread and copied: the best by score of all, ordered by key.

    What has a name of the question is ordered with them, wherever it is.
    """
    weight, depth = rescoring.weight, rescoring.depth

    def key(document):
        score, coverage = scored[document]
        return -(score + weight * coverage), document

    held = [{o for o in scored if homes[o] == shard} for shard in range(4)]
    for document, shard in copies:
        held[shard] |= {document} & scored.keys()
    hits, rest = [], []
    for shard in held:
        best = sorted(shard, key=lambda o: (-scored[o][0], o))
        best = [o for at, o in enumerate(best) if at < max(k, depth) or o in named]
        having = [at for at, o in enumerate(best) if o in named]
        reached = within_reach([-key(o)[0] for o in best], best, having, k)
        assert len(set(having) & set(reached)) <= k
        hits += [best[at] for at in sorted(reached)]
        rest += [o for at, o in enumerate(best) if at not in reached]
    known = hits + rest
    pool = Pool(
        known,
        [scored[o][0] for o in known],
        [scored[o][1] for o in hits],
        [at for at, o in enumerate(hits) if o in named],
    )
    found = merge_rescored(pool, k, rescoring)
    ranked = sorted(scored, key=lambda o: (-scored[o][0], o))
    head = [o for at, o in enumerate(ranked) if at < depth or o in named]
    expected = sorted(head, key=key) + [o for o in ranked if o not in head]
    assert [known[at] for at in found.positions] == expected[:k]
    assert found.least == (scored[ranked[:depth][-1]][0] if ranked else 0.0)
    if k > 1 and len(head) > 1:
        assert found.margin == key(expected[1])[0] - key(expected[0])[0]
    elif len(head) < 2:
        assert found.margin == 0.0


@settings(max_examples=500, deadline=None)
@given(
    rows=st.dictionaries(
        st.tuples(st.integers(0, 14), st.integers(0, 1)),
        st.tuples(some, st.sets(st.integers(0, 3), min_size=1)),
        min_size=12,
    ),
    coverages=st.lists(some, min_size=15, max_size=15),
    named=st.sets(st.integers(0, 14), min_size=1, max_size=8),
    k=st.integers(1, 8),
    rescoring=st.builds(Rescoring, st.sampled_from([0.1, 0.2, 1.0]), st.integers(1, 4)),
)
def test_of_a_documents_rows_the_best_counts_wherever_each_is(rows, coverages, named, k, rescoring):
    """A document's question and answer, and copies of both, may be in any shards."""
    weight, depth = rescoring.weight, rescoring.depth
    whole: dict[int, float] = {}
    local: list[dict[int, float]] = [{} for _ in range(4)]
    for (document, _), (score, homes) in rows.items():
        whole[document] = max(whole.get(document, -1.0), score)
        for shard in homes:
            local[shard][document] = max(local[shard].get(document, -1.0), score)
    hits, rest = [], []
    for own in local:
        best = sorted(own, key=lambda o: (-own[o], o))
        best = [o for at, o in enumerate(best) if at < max(k, depth) or o in named]
        having = [at for at, o in enumerate(best) if o in named]
        keys = [own[o] + weight * coverages[o] for o in best]
        reached = within_reach(keys, best, having, k)
        hits += [(best[at], own[best[at]]) for at in reached]
        rest += [(o, own[o]) for at, o in enumerate(best) if at not in reached]
    known = hits + rest
    pool = Pool(
        [o for o, _ in known],
        [score for _, score in known],
        [coverages[o] for o, _ in hits],
        [at for at, (o, _) in enumerate(hits) if o in named],
    )
    found = merge_rescored(pool, k, rescoring)
    ranked = sorted(whole, key=lambda o: (-whole[o], o))
    head = [o for at, o in enumerate(ranked) if at < depth or o in named]
    head.sort(key=lambda o: (-(whole[o] + weight * coverages[o]), o))
    expected = head + [o for o in ranked if o not in head]
    assert [known[at] for at in found.positions] == [(o, whole[o]) for o in expected[:k]]
    assert found.least == whole[ranked[:depth][-1]]


def test_few_candidates_are_within_reach_where_words_agree_with_scores():
    scores = [0.9 - 0.01 * at for at in range(50)]
    assert within_reach(scores, range(50), [], 3) == [0, 1, 2]
    assert within_reach(scores[::-1], range(50), [], 3) == list(range(50))


def test_many_candidates_are_merged_as_few_are():
    rng = np.random.default_rng(1)
    ordinals, scores = rng.integers(0, 400, 600), rng.choice([0.1, 0.5, 0.9], 400)
    own = scores[ordinals]
    best = merge(ordinals.tolist(), own.tolist(), 30)
    expected = sorted(set(ordinals.tolist()), key=lambda o: (-scores[o], o))[:30]
    assert [int(ordinals[at]) for at in best] == expected


def test_of_a_named_documents_rows_in_several_shards_the_best_counts():
    rescoring = Rescoring(0.2, 2, 20)
    one = Pool([1, 2, 9], [0.6, 0.5, 0.4], [0.0, 0.0, 1.0], [2])
    two = Pool([9, 1, 2, 9], [0.3, 0.6, 0.5, 0.4], [1.0, 0.0, 0.0, 1.0], [0, 3])
    for pool in (one, two):
        found = merge_rescored(pool, 3, rescoring)
        assert [(pool.ordinals[at], pool.scores[at]) for at in found.positions] == [
            (9, 0.4), (1, 0.6), (2, 0.5),
        ]  # fmt: skip

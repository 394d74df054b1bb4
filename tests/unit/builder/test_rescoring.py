"""Generations whose answers are ordered by words too: the same however many shards there are."""

from pathlib import Path

import numpy as np
import pytest
from canary_answers import canary_difference
from encoder_fakes import vector_of
from small_generations import SmallGeneration, build_small, vectors_of

from app.errors import BuildError
from app.generation import canary
from app.generation.file_names import WEIGHTS, WORDS
from app.generation.manifest_parts import Rescoring
from app.generation.merge import Pool
from app.generation.names import names
from app.generation.rescoring import Rescorer, Terms
from app.generation.shard_part import ShardPart
from app.generation.shard_words import ShardWords
from app.generation.terms import for_one_shard
from app.generation.trigrams import BUCKETS, folded, trigrams, weights
from index_builder.choose_weight import USUAL
from index_builder.replay import Replay
from index_builder.settings import Settings, check_settings

WORDS_OF = ("reset", "password", "account", "refund", "order", "address", "open", "close")
# Every third has a name: that of one document, or of 2, or (kx-0) of more than may share one.
TEXTS = tuple(
    f"how do I {WORDS_OF[n % 8]} the {WORDS_OF[n // 8 % 8]} of"
    f" {('it', f'KX-{n % 150}', f'kx-{n % 2 * n}')[n % 3]}?"
    for n in range(200)
)
NAMES = [names(folded(text)) for text in TEXTS]
NAMED = ["where is KX-100?", "kx-41", "kx-0 or kx-41, kx-100 or (kx-187)", "kx-9999"]
QUESTIONS = [*TEXTS[:20], "how to reset my pasword", "refund?", "close account 17", "?", *NAMED]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[int, SmallGeneration]:
    """By number of shards; vectors are hashes of texts, so candidates are any documents."""
    root = tmp_path_factory.mktemp("rescored")
    return {
        shards: build_small(root / str(shards), TEXTS, shards=shards, storage=storage)
        for shards, storage in ((1, 1.0), (3, 1.5), (4, 2.0))
    }


def ranked(question: str, k: int) -> list[str]:
    """The 50 nearest of all, then by score + weight * coverage, all by its definition."""
    found, counts = trigrams(list(map(folded, TEXTS)))
    weighed = weights(np.bincount(found, minlength=BUCKETS), len(TEXTS)).astype(int)
    held = [set(own.tolist()) for own in np.split(found, np.cumsum(counts)[:-1])]
    scores = vectors_of(TEXTS) @ vector_of(question)
    by_score = sorted(range(len(TEXTS)), key=lambda at: (-np.round(scores[at], 6), at))
    rare = [
        name for name in names(folded(question)) if 1 <= sum(name in own for own in NAMES) <= 20
    ]
    having = {at for at, own in enumerate(NAMES) if set(rare) & set(own)}
    nearest = [at for place, at in enumerate(by_score) if place < 50 or at in having]
    asked = trigrams([folded(question)])[0].tolist()
    mass = sum(weighed[bucket] for bucket in asked)

    def key(at: int) -> tuple[float, int]:
        shared = sum(weighed[bucket] for bucket in asked if bucket in held[at])
        return -np.round(scores[at] + USUAL * shared / mass, 6), at

    return [f"d{at:04}" for at in sorted(nearest, key=key)[:k]]


@pytest.mark.parametrize("k", [1, 5, 60])
def test_any_number_of_shards_gives_the_same_list(built: dict[int, SmallGeneration], k: int):
    """So does a slow reading of the definition, where k is within the depth."""
    lists = []
    for generation in built.values():
        found = Replay(generation.directory).search(vectors_of(QUESTIONS), k, "all", QUESTIONS)
        lists.append([[(h.row.id, h.score, h.lexical) for h in hits] for hits in found.hits])
    assert lists[0] == lists[1] == lists[2]
    if k <= 50:
        for question, hits in zip(QUESTIONS, lists[0], strict=True):
            assert [name for name, _, _ in hits] == ranked(question, k)
    assert (
        any(
            [score for _, score, _ in hits] != sorted((s for _, s, _ in hits), reverse=True)
            for hits in lists[0]
        )
        or k == 1
    ), "no question was ordered again"


def test_who_has_a_name_is_asked_and_found(built: dict[int, SmallGeneration]) -> None:
    """Vectors are hashes, so nothing else would bring these documents."""
    replay = Replay(built[4].directory)
    found = replay.search(vectors_of(NAMED), 60, "auto", NAMED)
    for question, ids in zip(NAMED[:2], found.ids, strict=False):
        [name] = names(folded(question))
        having = {f"d{at:04}" for at, own in enumerate(NAMES) if name in own}
        assert 1 <= len(having) <= 2
        assert having <= set(ids)
    fewer = replay.search(vectors_of(NAMED), 3, "auto").fan_out
    assert fewer <= found.fan_out
    assert replay.search(vectors_of(NAMED), 3, 1, NAMED).fan_out == 1, "a number is kept"


def test_too_many_documents_share_no_name(built: dict[int, SmallGeneration]) -> None:
    [name] = names("kx-0")
    assert sum(name in own for own in NAMES) > 20
    rescorer = Rescorer.load(built[4].directory, built[4].manifest)
    assert rescorer is not None
    assert not rescorer.terms("kx-0").holders
    holders = rescorer.terms("kx-100").holders
    assert holders
    replay = Replay(built[4].directory)
    for shard in {shard for shards in holders for shard in shards}:
        words = replay._parts[shard]._words
        assert words is not None
        assert len(words.named(names("kx-100"))) > 0


def test_only_shards_that_no_other_stands_for_are_asked_more() -> None:
    terms = [Terms(b"", [[0, 2], [1, 3], [1]]), Terms(b"", [])]
    asked = np.array([[False, False, True, False], [False, True, False, False]])
    rescorer = Rescorer(Rescoring(USUAL, 50), np.zeros(BUCKETS, np.uint8))
    rescorer.reach(asked, terms, np.ones(4, np.bool_))
    assert asked.tolist() == [[False, True, True, False], [False, True, False, False]]
    asked = np.zeros((1, 4), np.bool_)
    rescorer.reach(asked, terms[:1], np.array([False, False, True, True]))
    assert asked.tolist() == [[False, False, True, True]], "nothing that passes is in the others"


def test_an_index_without_scores_of_rows_has_no_names(tmp_path: Path) -> None:
    built = build_small(tmp_path, TEXTS, shards=2, index="IVF4,Flat")
    assert built.manifest.routing.rescoring == Rescoring(USUAL, 50)
    assert not [name for name in built.manifest.files if "names" in name]
    assert Replay(built.directory).search(built.vectors[:3], 5, "all", TEXTS[:3]).hits


def test_more_results_begin_with_the_fewer(built: dict[int, SmallGeneration]) -> None:
    replay, asked = Replay(built[4].directory), vectors_of(QUESTIONS)
    few = replay.search(asked, 10, "all", QUESTIONS).ids
    many = replay.search(asked, 100, "all", QUESTIONS).ids
    assert [ids[:10] for ids in many] == few


def test_without_texts_scores_alone_count(built: dict[int, SmallGeneration]) -> None:
    for hits in Replay(built[4].directory).search(vectors_of(QUESTIONS), 10, "all").hits:
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)
        assert [hit.lexical for hit in hits] == [None] * 10


def test_weights_count_each_document_once(built: dict[int, SmallGeneration]) -> None:
    """Border copies change nothing: one shard's weights are those of four with copies."""
    manifests = [generation.manifest for generation in built.values()]
    assert manifests[2].stored > manifests[2].documents
    assert len({manifest.files[WEIGHTS].sha256 for manifest in manifests}) == 1
    assert {manifest.routing.rescoring for manifest in manifests} == {Rescoring(USUAL, 50, 20)}


def test_canaries_are_answered(built: dict[int, SmallGeneration]) -> None:
    for generation in built.values():
        replay = Replay(generation.directory)
        canaries = canary.read(generation.directory / canary.NAME)
        assert [canary_difference(replay, one, vector_of(one.question)) for one in canaries] == (
            [None] * 32
        )
        assert any(one.lexical for one in canaries), "none proves the words"


def test_a_canary_tells_other_words(built: dict[int, SmallGeneration]) -> None:
    """A generation whose trigrams are of other documents answers some canary differently."""
    generation = built[1]
    replay = Replay(generation.directory)
    part = replay._parts[0]
    good = part._words
    assert good is not None
    wrong = ShardWords(good._ordinals, good._counts[::-1].copy(), good._buckets[::-1].copy())
    part._words = wrong
    canaries = canary.read(generation.directory / canary.NAME)
    assert any(canary_difference(replay, one, vector_of(one.question)) for one in canaries)


def test_no_weight_is_a_generation_as_before(tmp_path: Path) -> None:
    built = build_small(tmp_path, TEXTS[:40], rescore_weight=0.0)
    assert built.manifest.routing.rescoring is None
    assert not [name for name in built.manifest.files if name.endswith((WEIGHTS, *WORDS))]
    replay = Replay(built.directory)
    assert replay.search(built.vectors[:3], 5, "all", TEXTS[:3]).ids == (
        replay.search(built.vectors[:3], 5, "all").ids
    )
    assert all(not one.lexical for one in canary.read(built.directory / canary.NAME))


@pytest.mark.parametrize("weight", [-0.1, 2.1, float("nan")])
def test_a_weight_out_of_range_is_refused(weight: float) -> None:
    with pytest.raises(BuildError, match=r"--rescore-weight .*use auto, or 0 \(off\) to 2\.0"):
        check_settings(Settings(shards=1, rescore_weight=weight))


def test_the_manifest_knows_the_size_of_every_file(built: dict[int, SmallGeneration]) -> None:
    for generation in built.values():
        for info in generation.manifest.shards:
            part = generation.directory / f"shard-{info.shard:03}"
            assert info.memory_bytes == sum(file.stat().st_size for file in part.iterdir())


@pytest.mark.parametrize("k", [1, 2, 5, 50, 60])
def test_a_shard_that_is_asked_alone_sends_no_more_than_the_answer(
    built: dict[int, SmallGeneration], k: int
) -> None:
    """The merge of what it sends is the same, and so is what a confidence is computed from."""
    generation = built[1]
    rescorer = Rescorer.load(generation.directory, generation.manifest)
    assert rescorer is not None
    part = ShardPart.open(generation.directory, 0)
    for question in QUESTIONS:
        terms, query = rescorer.terms(question).packed, vectors_of([question])
        rankings = []
        for packed in (terms, for_one_shard(terms)):
            [found] = part.search(query, k, [packed])
            rows = [hit.row for hit in found.hits]
            pool = Pool(
                [row.ordinal for row in rows] + found.ordinals,
                [hit.score for hit in found.hits] + found.scores,
                [hit.lexical or 0.0 for hit in found.hits],
                [at for at, hit in enumerate(found.hits) if hit.named],
                found.scores[0] if packed != terms and k <= 50 else None,
            )
            ranking = rescorer.rank(pool, k)
            ids = [rows[at].id for at in ranking.positions]
            rankings.append((ids, ranking.margin if k > 1 else 0, ranking.least))
        assert rankings[0] == rankings[1]
        if k <= 50:
            assert len(found.hits) == k
            assert len(found.ordinals) == 1

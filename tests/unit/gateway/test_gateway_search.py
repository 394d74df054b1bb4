"""A search with a fake fleet at the seam: who is asked, what is merged, what a loss leaves."""

import asyncio
import time
from typing import Any

import msgspec
import numpy as np
import pytest
from asgi_client import Blocking
from encoder_fakes import DIM, vector_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.errors import ProblemError
from app.gateway.body import SearchRequest
from app.gateway.call import Call, PoolsGoneError, UpstreamError
from app.gateway.results import result_json
from app.gateway.search import Searcher
from app.gateway.upstream import Candidates, ShardHit, Wanted
from app.generation.manifest import Manifest
from app.generation.manifest_parts import ModelRef, RoutingInfo, ShardInfo
from app.generation.routing import Router

GENERATION, MODEL = "20260101T000000Z-01234567", "0123456789abcdef"


def manifest_of(shards: int) -> Manifest:
    infos = tuple(ShardInfo(n, 1, (n,), "Flat", True, 1.0, 1) for n in range(shards))
    return Manifest(
        schema=1,
        id=GENERATION,
        content_hash="01234567",
        inputs_hash="",
        created_at="",
        model=ModelRef(MODEL, "fake", DIM),
        documents=shards,
        stored=shards,
        clusters=shards,
        shards=infos,
        routing=RoutingInfo(0.05, 64, 0.9, 1.0, 1.0, 1, ()),
        canaries=0,
        files={},
    )


class FakeFleet:
    """Shards that hold given documents; records every call, fails where told to."""

    def __init__(self, vectors: NDArray[np.float32], held: list[list[int]]) -> None:
        self.vectors, self.held = vectors, held
        self.broken: set[int] = set()
        self.encoder_broken = self.pools_gone = False
        self.asked: list[tuple[int, int]] = []  # (shard, questions)

    async def encode(
        self, texts: tuple[str, ...], model: str, dim: int, _: Call
    ) -> NDArray[np.float32]:
        assert (model, dim) == (MODEL, DIM)
        if self.encoder_broken:
            raise UpstreamError("encoder: ConnectionError")
        return np.stack([vector_of(text) for text in texts])

    async def search(self, shard: int, wanted: Wanted, _: Call) -> list[Candidates]:
        assert (wanted.generation, wanted.model) == (GENERATION, MODEL)
        self.asked.append((shard, len(wanted.queries)))
        if self.pools_gone:
            raise PoolsGoneError("ConnectionRefusedError")
        if shard in self.broken:
            raise UpstreamError(f"shard {shard}: 502")
        answers = []
        for query in wanted.queries:
            scored = [(float(np.dot(self.vectors[o], query)), o) for o in self.held[shard]]
            scored.sort(key=lambda pair: (-pair[0], pair[1]))
            hits = [hit(ordinal, score) for score, ordinal in scored[: wanted.k]]
            answers.append(Candidates(hits))
        return answers


def hit(ordinal: int, score: float) -> ShardHit:
    metadata = msgspec.Raw(b'{"n":%d}' % ordinal)
    return ShardHit(ordinal, f"d{ordinal}", score, f"text {ordinal}", None, metadata)


def call() -> Call:
    return Call(time.monotonic() + 30, {})


# Four documents, each the only centroid of its own shard.
TEXTS = ("north", "south", "east", "west")
FOUR = np.stack([vector_of(text) for text in TEXTS])


def four(**router: Any) -> tuple[Any, FakeFleet]:
    fleet = FakeFleet(FOUR, [[0], [1], [2], [3]])
    settings_ = {"temperature": 0.01, "neighbours": 64, "threshold": 0.5, **router}
    route = Router(FOUR, np.arange(4, dtype=np.int32), 4, **settings_)
    return Blocking(Searcher(manifest_of(4), route, fleet)), fleet


def ids(result: Any) -> list[list[str]]:
    return [[found.id for found in query.hits] for query in result.queries]


def test_each_question_asks_its_own_shards() -> None:
    searcher, fleet = four()
    result = searcher.search(SearchRequest(("west", "north", "west")), call())
    assert [query.asked for query in result.queries] == [[3], [0], [3]]
    assert ids(result) == [["d3"], ["d0"], ["d3"]]
    assert sorted(fleet.asked) == [(0, 1), (3, 2)], "one call per shard, whatever the questions"
    assert [query.missing for query in result.queries] == [[], [], []]


def test_shards_are_asked_side_by_side() -> None:
    searcher, fleet = four()
    waiting, search = set(), fleet.search

    async def together(shard: int, *asked: Any) -> list[Candidates]:
        waiting.add(shard)
        while len(waiting) < 4:  # for ever, where they come one after the other
            await asyncio.sleep(0.001)
        return await search(shard, *asked)

    fleet.search = together  # type: ignore[method-assign]  # a fake, for this test alone
    result = searcher.search(SearchRequest(("north",), probe="all"), call())
    assert sorted(shard for shard, _ in fleet.asked) == [0, 1, 2, 3]
    assert result.queries[0].missing == []


@pytest.mark.parametrize(("probe", "fan_out"), [("auto", 1), (1, 1), (3, 3), (9, 4), ("all", 4)])
def test_the_probe_says_how_many(probe: Any, fan_out: int) -> None:
    searcher, fleet = four()
    result = searcher.search(SearchRequest(("east",), probe=probe), call())
    assert len(result.queries[0].asked) == len(fleet.asked) == fan_out
    assert 2 in result.queries[0].asked
    assert result.queries[0].hits[0].id == "d2"


def test_a_shard_that_fails_makes_only_its_questions_partial() -> None:
    searcher, fleet = four()
    fleet.broken = {3}
    result = searcher.search(SearchRequest(("west", "north")), call())
    west, north = result.queries
    assert (west.asked, west.missing, west.hits) == ([3], [3], [])
    assert (north.asked, north.missing) == ([0], [])
    assert north.hits[0].id == "d0"
    assert result_json(west, 0.0)["partial"] is True
    assert result_json(north, 0.0)["partial"] is False


def test_the_rest_still_answers() -> None:
    searcher, fleet = four()
    fleet.broken = {0, 2}
    result = searcher.search(SearchRequest(("north",), probe="all"), call())
    assert result.queries[0].missing == [0, 2]
    assert set(ids(result)[0]) == {"d1", "d3"}


def test_no_shard_at_all_is_unavailable() -> None:
    searcher, fleet = four()
    fleet.broken = {0, 1, 2, 3}
    with pytest.raises(ProblemError) as caught:
        searcher.search(SearchRequest(("north",), probe="all"), call())
    assert (caught.value.status, caught.value.code) == (503, "shards_unavailable")
    assert caught.value.retry_after


def test_without_its_nginx_a_gateway_leaves_the_question_to_another() -> None:
    searcher, fleet = four()
    fleet.pools_gone = True
    for probe in ("all", 1):
        with pytest.raises(ProblemError) as caught:
            searcher.search(SearchRequest(("north",), probe=probe), call())
        assert (caught.value.status, caught.value.code) == (502, "pools_unavailable")


def test_where_only_the_encoders_pool_is_gone_another_gateway_is_asked_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searcher, fleet = four()

    async def gone(*_: object) -> None:
        raise PoolsGoneError("ConnectionRefusedError")

    monkeypatch.setattr(fleet, "encode", gone)
    with pytest.raises(ProblemError) as caught:
        searcher.search(SearchRequest(("north",)), call())
    assert (caught.value.status, caught.value.code) == (502, "pools_unavailable")


def test_a_deadline_that_passes_among_the_shards_is_a_missing_shard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searcher, fleet = four()
    whole = fleet.search

    async def late(shard: int, *rest: Any) -> list[list[ShardHit]]:
        if shard == 1:
            raise ProblemError(504, "deadline", "the question's time is up")
        return await whole(shard, *rest)

    monkeypatch.setattr(fleet, "search", late)
    result = searcher.search(SearchRequest(("north",), probe="all"), call())
    assert result.queries[0].missing == [1]


def test_a_deadline_that_passes_before_any_shard_answers_is_504(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not 503, which the edge would ask of every other gateway at full length."""
    searcher, fleet = four()

    async def late(shard: int, *_: Any) -> list[list[ShardHit]]:
        if shard == 1:
            raise ProblemError(504, "deadline", "the request's time is up")
        raise UpstreamError("shard: 502")

    monkeypatch.setattr(fleet, "search", late)
    for probe in ("all", 1):
        with pytest.raises(ProblemError) as caught:
            searcher.search(SearchRequest(("south",), probe=probe), call())
        assert (caught.value.status, caught.value.code) == (504, "deadline")


def test_no_encoder_is_unavailable() -> None:
    searcher, fleet = four()
    fleet.encoder_broken = True
    with pytest.raises(ProblemError) as caught:
        searcher.search(SearchRequest(("north",)), call())
    assert (caught.value.status, caught.value.code) == (503, "encoder_unavailable")
    assert fleet.asked == []


def test_copies_count_once() -> None:
    searcher, fleet = four()
    fleet.held = [[0, 1, 2, 3], [1, 0], [2, 0], [3, 0]]
    result = searcher.search(SearchRequest(("north",), k=3, probe="all"), call())
    assert len(ids(result)[0]) == len(set(ids(result)[0])) == 3
    assert ids(result)[0][0] == "d0"


def test_the_time_of_every_step_is_told() -> None:
    searcher, _ = four()
    timings = searcher.search(SearchRequest(("north",)), call()).timings
    assert set(timings) == {"encode", "route", "search", "merge", "total"}
    assert all(value >= 0 for value in timings.values())


def test_the_public_form_has_no_inner_numbers() -> None:
    from app.gateway.results import QueryResult

    body = msgspec.json.decode(
        msgspec.json.encode(result_json(QueryResult([hit(7, 0.5)], [1, 2], [2], 0.8), 0.9))
    )
    assert body == {
        "match": None,
        "confidence": 0.8,
        "results": [
            {
                "id": "d7",
                "text": "text 7",
                "answer": None,
                "score": 0.5,
                "lexical": None,
                "metadata": {"n": 7},
                "matched": "question",
            }
        ],
        "partial": True,
        "shards_asked": [1, 2],
        "shards_missing": [2],
    }


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    documents=st.integers(1, 60),
    shards=st.integers(1, 5),
    copies=st.integers(0, 60),
    k=st.integers(1, 20),
    questions=st.integers(1, 5),
    broken=st.sets(st.integers(0, 4), max_size=2),
)
@pytest.mark.slow
def test_fan_out_and_merge_are_brute_force(
    seed: int,
    documents: int,
    shards: int,
    copies: int,
    k: int,
    questions: int,
    broken: set[int],
) -> None:
    """Documents on random shards with random copies: the answer is that of one big shard."""
    rng = np.random.default_rng(seed)
    some = rng.normal(size=(documents, DIM)).astype(np.float32)
    some /= np.linalg.norm(some, axis=1, keepdims=True)
    vectors = some[rng.integers(0, documents, documents)]  # repeated vectors: tied scores
    homes = rng.integers(0, shards, documents)
    held = [set(np.flatnonzero(homes == shard).tolist()) for shard in range(shards)]
    for _ in range(copies):
        held[rng.integers(0, shards)].add(int(rng.integers(0, documents)))
    fleet = FakeFleet(vectors, [sorted(own) for own in held])
    fleet.broken = broken & set(range(shards))
    centroids = np.stack([vector_of(f"centre {shard}") for shard in range(shards)])
    router = Router(centroids, np.arange(shards, dtype=np.int32), shards, 0.05, 64, 0.9)
    searcher = Blocking(Searcher(manifest_of(shards), router, fleet))
    texts = tuple(f"question {seed} {number}" for number in range(questions))
    for probe in ("all", "auto", 1):
        wanted = SearchRequest(texts, k, probe)
        reached = router.probe(np.stack([vector_of(text) for text in texts]), probe).any(axis=0)
        if set(np.flatnonzero(reached).tolist()) <= fleet.broken:
            with pytest.raises(ProblemError, match="no shard that was asked answers"):
                searcher.search(wanted, call())
            continue
        result = searcher.search(wanted, call())
        for text, answer in zip(texts, result.queries, strict=True):
            assert answer.missing == sorted(set(answer.asked) & fleet.broken)
            there = set().union(*(held[s] for s in answer.asked if s not in fleet.broken), set())
            scored = sorted(
                ((float(np.dot(vectors[o], vector_of(text))), o) for o in there),
                key=lambda pair: (-np.float32(pair[0]), pair[1]),
            )[:k]
            assert [found.ordinal for found in answer.hits] == [o for _, o in scored]
            assert [found.score for found in answer.hits] == [score for score, _ in scored]

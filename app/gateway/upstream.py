"""What the gateway asks of encoder and shards, in batches.

Short questions go straight to a replica, in frames (replicas.py). What is long, and what found no
answer so, goes through the pools that nginx keeps (pools.py).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, chain
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.gateway.batches import Batches
from app.gateway.call import Call, UpstreamError
from app.gateway.connections import Transport
from app.gateway.pools import Pools
from app.gateway.replicas import NoLinkError, Replicas
from app.tls import Identity
from app.wire import MODEL_HEADER, REQUEST_ID_HEADER, body_of, type_f32, vectors_to_bytes
from app.wire.frames import Encode, Search

# What a replica answers in milliseconds: where it says nothing, nginx soon asks another. What is
# longer goes alone, so that nothing short waits for it.
QUICK_BYTES = 1000
QUICK_QUESTIONS = 8

_MODEL = MODEL_HEADER.lower()


class ShardHit(msgspec.Struct, frozen=True):
    """One document of a shard's answer; ``metadata`` stays undecoded JSON.

    ``lexical`` is the coverage of the question's words; None where only scores were asked for.
    ``named``: it has a name of the question. ``matched`` is "answer" where its answer is nearest.
    """

    ordinal: int
    id: str
    score: float
    text: str
    answer: str | None
    metadata: msgspec.Raw
    matched: str = "question"
    lexical: float | None = None
    named: bool = False


class Candidates(NamedTuple):
    """What one shard offers for one question.

    ``ordinals`` and ``scores`` are of the candidates beside the hits, which cannot be in the answer
    (app/generation/merge.py).
    """

    hits: list[ShardHit]
    ordinals: Sequence[int] = ()
    scores: Sequence[float] = ()


class ShardAnswer(msgspec.Struct, frozen=True):
    """A shard's answer: per question its hits, best score first, and the candidates beside them."""

    generation: str
    shard: int
    results: list[list[ShardHit]]
    rest: list[tuple[list[int], list[float]]] = []


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a shard is asked.

    Attributes:
        queries: (n, dim) vectors of the questions.
        generation: exactly this one.
        model: that made the vectors.
        k: how many documents of each.
        terms: words of each question; none where only scores count.
        filter: what documents must pass (``filters.filter_text``); "" for all.
    """

    queries: NDArray[np.float32]
    generation: str
    model: str
    k: int
    terms: tuple[bytes, ...] = ()
    filter: str = ""

    def at(self, places: NDArray[np.intp]) -> Wanted:
        """The same of some of the questions."""
        terms = tuple(self.terms[place] for place in places) if self.terms else ()
        return replace(self, queries=self.queries[places], terms=terms)


_SHARD_ANSWER = msgspec.json.Decoder(ShardAnswer)
_Found = list[Candidates]
# (model, dim); (generation, model, k, with terms, filter): the same for all of one request.
_EncodeKey = tuple[str, int]
_SearchKey = tuple[str, str, int, bool, str]


@dataclass(frozen=True, slots=True)
class Fleet:
    """Where encoder and shards are asked: their pools' base URLs, and host:port of each replica.

    ``patience``: seconds in which one of several replicas answers a short question; ``identity``:
    who this host is, where its links are encrypted.
    """

    encoder_url: str
    shard_urls: tuple[str, ...]
    encoder_replicas: tuple[str, ...] = ()
    shard_replicas: tuple[tuple[str, ...], ...] = ()
    patience: float = 0.6
    identity: Identity | None = None


class Upstream:
    """The encoder and the shards."""

    def __init__(self, transport: Transport, fleet: Fleet) -> None:
        self._pools = Pools(transport, encrypted=fleet.identity is not None)
        self._fleet = fleet
        links = fleet.shard_replicas or ((),) * len(fleet.shard_urls)
        self._encoders = Replicas("encoder", fleet.encoder_replicas, fleet.patience, fleet.identity)
        self._shards = [
            Replicas(f"shard-{shard}", addresses, fleet.patience, fleet.identity)
            for shard, addresses in enumerate(links)
        ]
        self._to_encode: Batches[_EncodeKey, tuple[str, ...], NDArray[np.float32]] = Batches(
            self._encode, partial(self._at_once, self._encoders, fleet.encoder_url)
        )
        self._to_search: list[Batches[_SearchKey, Wanted, _Found]] = [
            Batches(partial(self._search, shard), partial(self._at_once, self._shards[shard], url))
            for shard, url in enumerate(fleet.shard_urls)
        ]

    def replicas(self) -> dict[str, Replicas]:
        """The replicas of each pool, by the service's name."""
        named = {"encoder": self._encoders}
        return named | {f"shard-{shard}": one for shard, one in enumerate(self._shards)}

    def _at_once(self, replicas: Replicas, pool: str) -> int:
        return replicas.at_once() or self._pools.at_once(pool)

    async def encode(
        self, texts: tuple[str, ...], model: str, dim: int, call: Call
    ) -> NDArray[np.float32]:
        """Vectors (n, dim) of the texts by exactly this model; raises UpstreamError."""
        size = len(msgspec.json.encode(texts))
        if size > QUICK_BYTES:
            return (await self._encode_by_pool((model, dim), [texts], call, quick=False))[0]
        return await self._to_encode.ask((model, dim), texts, len(texts), size, call)

    async def _encode(
        self, key: _EncodeKey, asked: Sequence[tuple[str, ...]], call: Call
    ) -> list[NDArray[np.float32]]:
        model, dim = key
        texts = [text for several in asked for text in several]
        ids = call.headers.get(REQUEST_ID_HEADER, "")
        try:
            answer = await self._encoders.ask(
                lambda left: Encode(model, round(left * 1000), ids, texts), call
            )
        except NoLinkError:
            return await self._encode_by_pool(key, asked, call, quick=True)
        return _vectors(answer.body, [len(several) for several in asked], dim)

    async def _encode_by_pool(
        self, key: _EncodeKey, asked: Sequence[tuple[str, ...]], call: Call, *, quick: bool
    ) -> list[NDArray[np.float32]]:
        model, dim = key
        body = msgspec.json.encode({"texts": [text for several in asked for text in several]})
        target = f"/encode?model={model}"
        url = self._fleet.encoder_url
        answer = await self._pools.ask(url, target, body, call, quick=quick)
        call.asked.append("encoder=pool")
        if answer.headers.get(_MODEL, "") != model:
            raise UpstreamError(f"the encoder answered with another model than {model}")
        return _vectors(answer.body, [len(several) for several in asked], dim)

    def search(self, shard: int, wanted: Wanted, call: Call) -> Awaitable[_Found]:
        """One shard's candidates per question."""
        key = (wanted.generation, wanted.model, wanted.k, bool(wanted.terms), wanted.filter)
        count = len(wanted.queries)
        if count > QUICK_QUESTIONS:
            return self._search_alone(shard, key, wanted, call)
        size = sum(map(len, wanted.terms)) + len(wanted.filter)
        return self._to_search[shard].ask(key, wanted, count, size, call)

    async def _search(
        self, shard: int, key: _SearchKey, asked: Sequence[Wanted], call: Call
    ) -> list[_Found]:
        generation, model, k, _, passing = key
        sent = b"".join(vectors_to_bytes(wanted.queries) for wanted in asked)
        terms = tuple(chain.from_iterable(wanted.terms for wanted in asked))
        ids = call.headers.get(REQUEST_ID_HEADER, "")
        question = Search(generation, model, k, ids, sent, terms, passing)
        try:
            answer = await self._shards[shard].ask(lambda _: question, call)
        except NoLinkError:
            return await self._search_by_pool(shard, key, asked, call, quick=True)
        return _found(answer.body, shard, generation, [len(wanted.queries) for wanted in asked])

    async def _search_alone(
        self, shard: int, key: _SearchKey, wanted: Wanted, call: Call
    ) -> _Found:
        return (await self._search_by_pool(shard, key, [wanted], call, quick=False))[0]

    async def _search_by_pool(
        self, shard: int, key: _SearchKey, asked: Sequence[Wanted], call: Call, *, quick: bool
    ) -> list[_Found]:
        generation, model, k, _, passing = key
        call = Call(call.ends, {**call.headers, MODEL_HEADER: model}, call.asked)
        told, sent = body_of(
            b"".join(vectors_to_bytes(wanted.queries) for wanted in asked),
            [own for wanted in asked for own in wanted.terms],
            passing,
        )
        target = f"/search?generation={generation}&k={k}{told}"
        url = self._fleet.shard_urls[shard]
        answer = await self._pools.ask(url, target, sent, call, quick=quick)
        call.asked.append(f"shard-{shard}=pool")
        return _found(answer.body, shard, generation, [len(wanted.queries) for wanted in asked])


def _vectors(body: bytes, counts: Sequence[int], dim: int) -> list[NDArray[np.float32]]:
    """An encoder's answer, as so many vectors for each question; raises UpstreamError."""
    shape = (sum(counts), dim)
    if len(body) != math.prod(shape) * type_f32.itemsize:
        raise UpstreamError(f"the encoder answered with {len(body)} bytes, not {shape} floats")
    vectors = np.frombuffer(body, dtype=type_f32).reshape(shape)
    if not np.isfinite(vectors).all():
        raise UpstreamError("the encoder answered with a value that is not finite")
    return _split(vectors, counts)


def _found(body: bytes, shard: int, generation: str, counts: Sequence[int]) -> list[_Found]:
    """A shard's answer, as candidates for each question of each request; raises UpstreamError."""
    try:
        answer = _SHARD_ANSWER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UpstreamError(f"shard {shard}: unreadable answer: {error}") from error
    if (answer.generation, answer.shard, len(answer.results)) != (generation, shard, sum(counts)):
        raise UpstreamError(
            f"asked shard {shard} of {generation}, answered by {answer.shard} "
            f"of {answer.generation}"
        )
    if not answer.rest:
        return _split(list(map(Candidates, answer.results)), counts)
    if len(answer.rest) != len(answer.results) or any(len(a) != len(b) for a, b in answer.rest):
        raise UpstreamError(f"shard {shard}: unreadable answer: candidates do not fit the hits")
    return _split(
        [Candidates(hits, *rest) for hits, rest in zip(answer.results, answer.rest, strict=True)],
        counts,
    )


def _split(whole: Any, counts: Sequence[int]) -> list[Any]:
    """Consecutive parts of so many."""
    ends = list(accumulate(counts))
    return [whole[end - count : end] for end, count in zip(ends, counts, strict=True)]

"""What the gateway asks of encoder and shards, in batches, through the pools that nginx keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.gateway.batches import Batches
from app.gateway.call import Call, UpstreamError
from app.gateway.connections import Transport
from app.gateway.pools import Pools
from app.wire import MODEL_HEADER, type_f32, vectors_to_bytes

# What a replica answers in milliseconds: where it says nothing, nginx soon asks another. What is
# longer goes alone, so that nothing short waits for it.
QUICK_BYTES = 1000
QUICK_QUESTIONS = 8

_MODEL = MODEL_HEADER.lower()


class ShardHit(msgspec.Struct, frozen=True):
    """One document of a shard's answer; ``metadata`` stays undecoded JSON."""

    ordinal: int
    id: str
    score: float
    text: str
    answer: str | None
    metadata: msgspec.Raw


class ShardAnswer(msgspec.Struct, frozen=True):
    """A shard's answer: per question its hits, best first."""

    generation: str
    shard: int
    results: list[list[ShardHit]]


_SHARD_ANSWER = msgspec.json.Decoder(ShardAnswer)
_Hits = list[list[ShardHit]]
# (model, dim); (generation, model, k): what must be the same for all of one request.
_EncodeKey = tuple[str, int]
_SearchKey = tuple[str, str, int]
# Texts as a list in JSON, and how many.
_Texts = tuple[bytes, int]


class Upstream:
    """The encoder pool and the shard pools, by HTTP."""

    def __init__(self, transport: Transport, encoder_url: str, shard_urls: tuple[str, ...]) -> None:
        self._pools = Pools(transport)
        self._encoder_url = encoder_url
        self._shard_urls = shard_urls
        self._encoder: Batches[_EncodeKey, _Texts, NDArray[np.float32]] = Batches(
            self._encode, partial(self._pools.at_once, encoder_url)
        )
        self._shards: list[Batches[_SearchKey, NDArray[np.float32], _Hits]] = [
            Batches(partial(self._search, shard), partial(self._pools.at_once, url))
            for shard, url in enumerate(shard_urls)
        ]

    async def encode(
        self, texts: tuple[str, ...], model: str, dim: int, call: Call
    ) -> NDArray[np.float32]:
        """Vectors (n, dim) of the texts by exactly this model; raises UpstreamError."""
        key, asked = (model, dim), (msgspec.json.encode(texts), len(texts))
        size = len(asked[0])
        if size > QUICK_BYTES:
            return (await self._encode(key, [asked], call, quick=False))[0]
        return await self._encoder.ask(key, asked, len(texts), size, call)

    async def _encode(
        self, key: _EncodeKey, asked: Sequence[_Texts], call: Call, *, quick: bool = True
    ) -> list[NDArray[np.float32]]:
        model, dim = key
        body = b'{"texts":[%s]}' % b",".join(texts[1:-1] for texts, _ in asked)
        target = f"/encode?model={model}"
        answer = await self._pools.ask(self._encoder_url, target, body, call, quick=quick)
        if answer.headers.get(_MODEL, "") != model:
            raise UpstreamError(f"the encoder answered with another model than {model}")
        counts = [count for _, count in asked]
        shape = (sum(counts), dim)
        if len(answer.body) != math.prod(shape) * type_f32.itemsize:
            raise UpstreamError(
                f"the encoder answered with {len(answer.body)} bytes, not {shape} floats"
            )
        vectors = np.frombuffer(answer.body, dtype=type_f32).reshape(shape)
        if not np.isfinite(vectors).all():
            raise UpstreamError("the encoder answered with a value that is not finite")
        return _split(vectors, counts)

    async def search(
        self,
        shard: int,
        queries: NDArray[np.float32],
        generation: str,
        model: str,
        k: int,
        call: Call,
    ) -> _Hits:
        """One shard's hits per question (n, dim) in exactly this generation."""
        key = (generation, model, k)
        if len(queries) > QUICK_QUESTIONS:
            return (await self._search(shard, key, [queries], call, quick=False))[0]
        return await self._shards[shard].ask(key, queries, len(queries), 0, call)

    async def _search(
        self,
        shard: int,
        key: _SearchKey,
        asked: Sequence[NDArray[np.float32]],
        call: Call,
        *,
        quick: bool = True,
    ) -> list[_Hits]:
        generation, model, k = key
        call = Call(call.ends, {**call.headers, MODEL_HEADER: model})
        target = f"/search?generation={generation}&k={k}"
        sent = b"".join(map(vectors_to_bytes, asked))
        found = await self._pools.ask(self._shard_urls[shard], target, sent, call, quick=quick)
        try:
            answer = _SHARD_ANSWER.decode(found.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UpstreamError(f"shard {shard}: unreadable answer: {error}") from error
        counts = [len(queries) for queries in asked]
        if (answer.generation, answer.shard, len(answer.results)) != (
            generation,
            shard,
            sum(counts),
        ):
            raise UpstreamError(
                f"asked shard {shard} of {generation}, answered by {answer.shard} "
                f"of {answer.generation}"
            )
        return _split(answer.results, counts)


def _split(whole: Any, counts: Sequence[int]) -> list[Any]:
    """Consecutive parts of so many."""
    ends = list(accumulate(counts))
    return [whole[end - count : end] for end, count in zip(ends, counts, strict=True)]

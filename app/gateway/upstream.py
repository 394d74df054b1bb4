"""Calls from the gateway to encoder and shards, through the replica pools that nginx keeps."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.errors import ProblemError
from app.gateway.connections import Answer, Headers, Transport
from app.service.request import Request
from app.wire import (
    CANARY_HEADER,
    DEADLINE_HEADER,
    MODEL_HEADER,
    QUICK_HEADER,
    REACHED_HEADER,
    REPLICAS_HEADER,
    TRIED_HEADER,
    type_f32,
    vectors_to_bytes,
)

# A replica on the local network accepts at once or not at all.
CONNECT_SECONDS = 1.0
# How long to go on asking a pool whose last replica alive is restarting, and how often. Where that
# was in vain, the pool is not waited for again until it has answered.
PATIENCE = 3.0
PAUSE = 0.1
# A deadline that is so near has been spent.
MOMENT = 0.1
# What a replica answers in milliseconds: where it says nothing, nginx soon asks another.
QUICK_BYTES = 1000
QUICK_QUESTIONS = 8
DEADLINE = "deadline"
# Another replica may have loaded what this one has not. nginx cannot ask it: it does not retry 409.
NOT_LOADED = frozenset({"generation_not_loaded", "model_not_loaded"})

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """What travels with every call of one question: when it must end, and its headers."""

    ends: float
    headers: Mapping[str, str]

    def left(self) -> float:
        """Seconds left; raises ProblemError 504 when none are."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise spent()
        return left

    def is_over(self) -> bool:
        """Whether time is up, or will be in a moment: nginx's own clock may run out first."""
        return self.ends - time.monotonic() < MOMENT

    def quick(self) -> Call:
        """The same, of what is answered in milliseconds."""
        return Call(self.ends, {**self.headers, QUICK_HEADER: "1"})


def spent() -> ProblemError:
    """The request's time is up. 504, which nginx does not retry: it would take as long again."""
    return ProblemError(504, DEADLINE, "the request's time is up", retry_after=1)


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


# Made once: threads that decode a type for the first time at the same moment can crash msgspec.
_SHARD_ANSWER = msgspec.json.Decoder(ShardAnswer)


class UpstreamError(Exception):
    """A pool did not give an answer; the text says which and why."""


class PoolsGoneError(UpstreamError):
    """nginx of this host, which has all pools, does not answer: no replica was asked."""


class RestartingError(UpstreamError):
    """No replica of the pool answers, but one says 503: it may be back in a moment."""


class LateError(UpstreamError):
    """No replica answered a quick request in time, but one took it: it is there, and slow."""


class NotLoadedError(UpstreamError):
    """The replica that a pool chose lacks the generation or model; the pool has ``replicas``."""

    def __init__(self, text: str, replicas: int) -> None:
        super().__init__(text)
        self.replicas = replicas


class Upstream:
    """The encoder pool and the shard pools, by HTTP."""

    def __init__(self, transport: Transport, encoder_url: str, shard_urls: tuple[str, ...]) -> None:
        self._transport = transport
        self._encoder_url = encoder_url
        self._shard_urls = shard_urls
        self._in_vain: set[str] = set()

    def _ask(self, pool: str, target: str, body: bytes, call: Call, *, quick: bool) -> Answer:
        """Ask a pool; while its replicas say only that they restart, ask again.

        Raises: UpstreamError, when no replica answers 200; ProblemError 504, when time is up.
        """
        patience = time.monotonic() + PATIENCE - PAUSE
        while True:
            try:
                answer = self._ask_replicas(pool, target, body, call.quick() if quick else call)
            except LateError as error:
                log.info("waited for until the deadline: %s", error)
                quick = False
            except RestartingError:
                now = time.monotonic()
                if now > patience:
                    self._in_vain.add(pool)
                if pool in self._in_vain or now > call.ends - PAUSE:
                    raise
                time.sleep(PAUSE)
            else:
                self._in_vain.discard(pool)
                return answer

    def _ask_replicas(self, pool: str, target: str, body: bytes, call: Call) -> Answer:
        """Ask a pool; where its choice answers "not loaded", every replica in turn.

        Raises: UpstreamError of the pool's own answer, when no replica answers 200 either.
        """
        try:
            return self._post(pool, target, body, call)
        except NotLoadedError as error:
            for replica in range(error.replicas):
                try:
                    return self._post(pool, f"/replica/{replica}{target}", body, call)
                except UpstreamError as another:
                    log.info("asked in vain: %s", another)
            raise

    def _post(self, pool: str, target: str, body: bytes, call: Call) -> Answer:
        left = call.left()
        headers = {**call.headers, DEADLINE_HEADER: str(round(left * 1000))}
        url = f"{pool}{target.partition('?')[0]}"
        try:
            answer = self._transport.post(pool, target, body, headers, left)
        except TimeoutError as error:
            if call.is_over():
                raise spent() from error
            raise UpstreamError(f"{url}: {type(error).__name__}") from error
        except (OSError, HTTPException) as error:
            raise PoolsGoneError(f"{url}: {type(error).__name__}") from error
        if answer.status != 200:
            code = _code(answer.body)
            text = f"{url}: {answer.status} {code}"
            if answer.status == 504 and (code == DEADLINE or call.is_over()):
                raise spent()
            if answer.status == 409 and code in NOT_LOADED:
                raise NotLoadedError(text, _replicas(answer.headers))
            if "503" in answer.headers.get(TRIED_HEADER, ""):
                raise RestartingError(text)
            if QUICK_HEADER in headers and _was_late(answer.headers):
                raise LateError(text)
            raise UpstreamError(text)
        return answer

    def encode(
        self, texts: tuple[str, ...], model: str, dim: int, call: Call
    ) -> NDArray[np.float32]:
        """Vectors (n, dim) of the texts by exactly this model; raises UpstreamError."""
        body = msgspec.json.encode({"texts": texts})
        quick = len(body) <= QUICK_BYTES
        answer = self._ask(self._encoder_url, f"/encode?model={model}", body, call, quick=quick)
        if answer.headers.get(MODEL_HEADER, "") != model:
            raise UpstreamError(f"the encoder answered with another model than {model}")
        shape = (len(texts), dim)
        if len(answer.body) != math.prod(shape) * type_f32.itemsize:
            raise UpstreamError(
                f"the encoder answered with {len(answer.body)} bytes, not {shape} floats"
            )
        vectors = np.frombuffer(answer.body, dtype=type_f32).reshape(shape)
        if not np.isfinite(vectors).all():
            raise UpstreamError("the encoder answered with a value that is not finite")
        return vectors

    def search(
        self,
        shard: int,
        queries: NDArray[np.float32],
        generation: str,
        model: str,
        k: int,
        call: Call,
    ) -> list[list[ShardHit]]:
        """One shard's hits per question (n, dim) in exactly this generation."""
        call = Call(call.ends, {**call.headers, MODEL_HEADER: model})
        target = f"/search?generation={generation}&k={k}"
        sent, quick = vectors_to_bytes(queries), len(queries) <= QUICK_QUESTIONS
        found = self._ask(self._shard_urls[shard], target, sent, call, quick=quick)
        try:
            answer = _SHARD_ANSWER.decode(found.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UpstreamError(f"shard {shard}: unreadable answer: {error}") from error
        if (answer.generation, answer.shard, len(answer.results)) != (
            generation,
            shard,
            len(queries),
        ):
            raise UpstreamError(
                f"asked shard {shard} of {generation}, answered by {answer.shard} "
                f"of {answer.generation}"
            )
        return answer.results


def forwarded_headers(request: Request, names: tuple[str, ...]) -> dict[str, str]:
    """The headers that go on from the caller's request to the pools.

    A value that is not plain printable ASCII stays behind: it must not spoil the calls.
    """
    values = {name: request.header(name.lower()).strip() for name in names if name != CANARY_HEADER}
    return {
        name: value
        for name, value in values.items()
        if value.isascii() and value.isprintable() and value
    }


def _code(body: bytes) -> str:
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return str(told.get("code", "")) if isinstance(told, dict) else ""


def _was_late(headers: Headers) -> bool:
    """Whether a replica took the request and did not answer in time.

    nginx says 504 of one that is not there, too; that one was not reached.
    """
    tried = headers.get(TRIED_HEADER, "").replace(":", ",").split(",")
    reached = headers.get(REACHED_HEADER, "").replace(":", ",").split(",")
    return any(
        status.strip() == "504" and seconds.strip()[:1].isdigit()
        for status, seconds in zip(tried, reached, strict=False)
    )


def _replicas(headers: Headers) -> int:
    """How many replicas the pool says it has, to be asked one by one; 0 where that is no pool."""
    told = headers.get(REPLICAS_HEADER, "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 4 else 0

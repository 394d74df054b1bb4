"""One call to a replica pool that nginx keeps: whom to ask again, when, and what an error means."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

import msgspec

from app.gateway.call import (
    DEADLINE,
    Call,
    LateError,
    NobodyError,
    NotLoadedError,
    PoolsGoneError,
    RestartingError,
    UpstreamError,
    spent,
)
from app.gateway.connections import Answer, Transport
from app.wire import (
    DEADLINE_HEADER,
    QUICK_HEADER,
    REACHED_HEADER,
    REPLICAS_HEADER,
    SLOTS_HEADER,
    TRIED_HEADER,
)

# A replica on the local network accepts at once or not at all.
CONNECT_SECONDS = 1.0
# How long to go on asking a pool whose last replica alive is restarting, and how often. Where that
# was in vain, the pool is not waited for again until it has answered.
PATIENCE = 3.0
PAUSE = 0.1
# What nginx says where no replica answers it.
GATEWAY_ERRORS = (502, 504)
# Another replica may have loaded what this one has not. nginx cannot ask it: it does not retry 409.
NOT_LOADED = frozenset({"generation_not_loaded", "model_not_loaded"})

_TRIED, _REACHED = TRIED_HEADER.lower(), REACHED_HEADER.lower()
_REPLICAS, _SLOTS = REPLICAS_HEADER.lower(), SLOTS_HEADER.lower()

log = logging.getLogger(__name__)


class Pools:
    """Asks pools, each by its base URL, over one transport.

    Args:
        transport: to nginx of this host.
        encrypted: whether nginx asks the replicas in TLS.
    """

    def __init__(self, transport: Transport, *, encrypted: bool = False) -> None:
        self._transport = transport
        self._encrypted = encrypted
        self._in_vain: set[str] = set()
        self._at_once: dict[str, int] = {}

    def at_once(self, pool: str) -> int:
        """How many requests the pool works on at one time: its replicas, each in its slots."""
        return self._at_once.get(pool, 1)

    async def ask(self, pool: str, target: str, body: bytes, call: Call, *, quick: bool) -> Answer:
        """Ask a pool; while its replicas say only that they restart, ask again.

        Raises: UpstreamError, when no replica answers 200; ProblemError 504, when time is up.
        """
        patience = time.monotonic() + PATIENCE - PAUSE
        while True:
            asked = call.quick() if quick else call
            try:
                answer = await self._ask_replicas(pool, target, body, asked)
            except LateError as error:
                log.info("waited for until the deadline: %s", error)
                quick = False
            except RestartingError:
                now = time.monotonic()
                if now > patience:
                    self._in_vain.add(pool)
                if pool in self._in_vain or now > call.ends - PAUSE:
                    raise
                await asyncio.sleep(PAUSE)
            else:
                self._in_vain.discard(pool)
                return answer

    async def _ask_replicas(self, pool: str, target: str, body: bytes, call: Call) -> Answer:
        """Ask a pool; where its choice answers "not loaded", every replica in turn.

        Raises: UpstreamError of the pool's own answer, when no replica answers 200 either.
        """
        try:
            return await self._post(pool, target, body, call)
        except NotLoadedError as error:
            for replica in range(error.replicas):
                try:
                    return await self._post(pool, f"/replica/{replica}{target}", body, call)
                except UpstreamError as another:
                    log.info("asked in vain: %s", another)
            raise

    async def _post(self, pool: str, target: str, body: bytes, call: Call) -> Answer:
        left = call.left()
        headers = {**call.headers, DEADLINE_HEADER: str(round(left * 1000))}
        url = f"{pool}{target.partition('?')[0]}"
        try:
            answer = await self._transport.post(pool, target, body, headers, left)
        except TimeoutError as error:
            if call.is_over():
                raise spent() from error
            raise UpstreamError(f"{url}: {type(error).__name__}") from error
        except OSError as error:
            raise PoolsGoneError(f"{url}: {type(error).__name__}") from error
        replicas = _count(answer.headers, _REPLICAS)
        if answer.status != 200:
            code = _code(answer.body)
            text = f"{url}: {answer.status} {code}"
            if answer.status == 504 and (code == DEADLINE or call.is_over()):
                raise spent()
            if answer.status == 409 and code in NOT_LOADED:
                raise NotLoadedError(text, replicas)
            if "503" in answer.headers.get(_TRIED, ""):
                raise RestartingError(text)
            reached = _reached(answer.headers)
            if answer.status in GATEWAY_ERRORS and not reached:
                # A service that restarts takes a connection, but shakes no hands in TLS.
                raise RestartingError(text) if self._encrypted else NobodyError(text)
            if QUICK_HEADER in headers and "504" in reached:
                raise LateError(text)
            raise UpstreamError(text)
        self._at_once[pool] = max(replicas, 1) * max(_count(answer.headers, _SLOTS), 1)
        return answer


def _code(body: bytes) -> str:
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return str(told.get("code", "")) if isinstance(told, dict) else ""


def _reached(headers: Mapping[str, str]) -> list[str]:
    """What nginx tells of each replica that took the request: its status, or 504 where it is late.

    nginx tells a status of one that is not there, too; that one was not reached.
    """
    tried = headers.get(_TRIED, "").replace(":", ",").split(",")
    reached = headers.get(_REACHED, "").replace(":", ",").split(",")
    return [
        status.strip()
        for status, seconds in zip(tried, reached, strict=False)
        if seconds.strip()[:1].isdigit()
    ]


def _count(headers: Mapping[str, str], name: str) -> int:
    """How many replicas a pool says it has, or slots a replica; 0 where they do not say."""
    told = headers.get(name, "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 4 else 0

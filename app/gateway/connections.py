"""Kept-alive HTTP/1.1 connections from the gateway to the pools beside it.

Written by hand, for it is the hot path: a library costs several times the CPU, and what it would
add is not needed on loopback: no redirects, no cookies, no proxies, and nginx does the retries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: status, headers by their names in lower case, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """What ``Upstream`` sends with; a fake in tests."""

    async def post(
        self, base: str, target: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> Answer:
        """POST to ``base`` + ``target``; raises OSError, TimeoutError among them."""


class Connections:
    """The transport over sockets, of one event loop.

    Args:
        connect_seconds: how long a new connection may take.
    """

    def __init__(self, connect_seconds: float) -> None:
        self._connect_seconds = connect_seconds
        self._idle: dict[str, list[_Connection]] = {}

    async def post(
        self, base: str, target: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> Answer:
        """POST to a pool, on a connection that is kept to it.

        Args:
            base: ``http://host:port``.
            target: path and query.
            body: what is sent.
            headers: with it.
            seconds: patience for the whole answer.

        Raises: OSError (TimeoutError, ConnectionError). Where a kept connection turns out to have
            been closed, a new one is tried first.
        """
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        host = base.partition("://")[2]
        lines += f"Host: {host}\r\nContent-Length: {len(body)}\r\n"
        request = f"POST {target} HTTP/1.1\r\n{lines}\r\n".encode("ascii") + body
        kept = self._idle.setdefault(base, [])
        while kept:
            connection = kept.pop()
            if connection.open:
                try:
                    return await self._exchange(connection, kept, request, seconds)
                except TimeoutError:
                    raise
                except OSError:
                    break
        connection = await self._connect(base, seconds)
        return await self._exchange(connection, kept, request, seconds)

    async def _connect(self, base: str, seconds: float) -> _Connection:
        url = urlsplit(base)
        loop = asyncio.get_running_loop()
        made = loop.create_connection(_Connection, str(url.hostname), url.port or 80)
        async with asyncio.timeout(min(self._connect_seconds, seconds)):
            return (await made)[1]

    async def _exchange(
        self, connection: _Connection, kept: list[_Connection], request: bytes, seconds: float
    ) -> Answer:
        """Send and read; whatever ends this early, no half-read connection is kept."""
        try:
            answer = await connection.exchange(request, seconds)
        except BaseException:
            connection.close()
            raise
        if connection.open:
            kept.append(connection)
        return answer


class _Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self) -> None:
        self.open = False
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[Answer] | None = None
        self._read = b""
        self._head: tuple[int, dict[str, str], int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name
        self.open = True

    def connection_lost(self, _: Exception | None) -> None:
        self._fail(ConnectionResetError("the connection was closed before the answer was whole"))

    def close(self) -> None:
        """Close it at once, whatever is under way."""
        self.open = False
        self._transport.abort()

    async def exchange(self, request: bytes, seconds: float) -> Answer:
        """Send a request, wait for its answer; raises OSError, TimeoutError among them."""
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        self._transport.write(request)
        patience = loop.call_later(seconds, self._fail, TimeoutError())
        try:
            return await self._answer
        finally:
            patience.cancel()
            self._answer = None

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.close()  # nothing was asked
            return
        self._read += data
        try:
            self._advance(self._answer)
        except (ValueError, IndexError, KeyError):
            self._fail(ConnectionError("what came is no answer of a kind that is known here"))

    def _advance(self, waiting: asyncio.Future[Answer]) -> None:
        if self._head is None:
            head, ended, rest = self._read.partition(b"\r\n\r\n")
            if not ended:
                return
            status, *lines = head.decode("latin-1").split("\r\n")
            fields = (line.partition(":") for line in lines)
            headers = {name.lower(): value.strip() for name, _, value in fields}
            self._head = (int(status.split(" ", 2)[1]), headers, int(headers["content-length"]))
            self._read = rest
        code, headers, length = self._head
        if len(self._read) < length:
            return
        body, more, self._read, self._head = self._read[:length], self._read[length:], b"", None
        if more or headers.get("connection", "").lower() == "close":
            self.open = False
            self._transport.close()
        waiting.set_result(Answer(code, headers, body))

    def _fail(self, error: OSError) -> None:
        self.open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

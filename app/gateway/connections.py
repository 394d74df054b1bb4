"""Kept-alive HTTP connections from the gateway to the pools beside it: one a thread and pool.

``requests`` costs the caller four times the CPU of this and ``urllib3`` twice, and a question makes
three calls (docs/performance.md). What they would add is not needed on loopback: no redirects, no
cookies, no proxies, and nginx does the retries.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit


class Headers(Protocol):
    """Headers of an answer."""

    def get(self, name: str, default: str, /) -> str:
        """The value of a header, whatever the case of its name."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: status, headers, body."""

    status: int
    headers: Headers
    body: bytes


class Transport(Protocol):
    """What ``Upstream`` sends with; a fake in tests."""

    def post(
        self, base: str, target: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> Answer:
        """POST to ``base`` + ``target``; raises OSError or HTTPException."""


class Connections:
    """The transport over sockets. Safe for threads: each has connections of its own."""

    def __init__(self, connect_seconds: float) -> None:
        self._connect_seconds = connect_seconds
        self._threads = threading.local()

    def post(
        self, base: str, target: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> Answer:
        """POST to a pool, on the connection that this thread keeps to it.

        Args:
            base: ``http://host:port``.
            target: path and query.
            body: what is sent.
            headers: with it.
            seconds: patience for each byte that is waited for.

        Raises: OSError (TimeoutError, ConnectionError) or http.client.HTTPException. Where a
            kept connection turns out to have been closed, a new one is tried first.
        """
        kept: dict[str, http.client.HTTPConnection] = self._threads.__dict__
        connection = kept.get(base)
        if connection is not None:
            try:
                return _exchange(connection, target, body, headers, seconds)
            except TimeoutError:
                kept.pop(base).close()
                raise
            except (OSError, http.client.HTTPException):
                kept.pop(base).close()
        url = urlsplit(base)
        connection = http.client.HTTPConnection(
            str(url.hostname), url.port, timeout=min(self._connect_seconds, seconds)
        )
        try:
            connection.connect()
            answer = _exchange(connection, target, body, headers, seconds)
        except BaseException:
            connection.close()
            raise
        kept[base] = connection
        return answer


def _exchange(
    connection: http.client.HTTPConnection,
    target: str,
    body: bytes,
    headers: Mapping[str, str],
    seconds: float,
) -> Answer:
    if connection.sock is None:
        raise http.client.NotConnected  # closed by the other side after its last answer
    connection.sock.settimeout(seconds)
    connection.request("POST", target, body, headers)
    with connection.getresponse() as response:
        return Answer(response.status, response.headers, response.read())

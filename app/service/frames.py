"""The service's side of a connection that carries frames (app/wire/frames.py)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

from app.wire.frames import (
    MAX_QUESTION,
    PROTOCOL,
    FrameError,
    Question,
    Reply,
    Splitter,
    frame,
    question,
)

# What answers a question: at once, or when it is there. It raises nothing. The second argument says
# whether the caller has gone.
Answers = Callable[[Question, Callable[[], bool]], Reply | Awaitable[Reply]]
# Questions of one connection under way; while there are so many, no more are read. Nor while the
# caller reads no answers.
MAX_UNDER_WAY = 256
SWITCHED = (
    f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {PROTOCOL}\r\n\r\n"
).encode("ascii")

log = logging.getLogger(__name__)


class Frames(asyncio.Protocol):
    """One connection after its switch from HTTP. Answers of one turn of the loop go together.

    Args:
        connections: those of the worker, which closes the idle ones when it stops.
        answers: answers the questions.
    """

    def __init__(self, connections: set[Any], answers: Answers) -> None:
        self._connections = connections
        self._answers = answers
        self._splitter = Splitter(MAX_QUESTION)
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._ready: list[bytes] = []
        self._gone = False
        self._full = False
        self._transport: asyncio.Transport

    def switch(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection over from HTTP; nothing may have been sent behind the request."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name
        self._connections.add(self)
        self._transport.set_protocol(self)
        self._transport.write(SWITCHED)

    def connection_lost(self, _: Exception | None) -> None:
        """Nobody waits any more; what has begun sees that by ``is_gone``."""
        self._gone = True
        self._connections.discard(self)

    def is_gone(self) -> bool:
        """Whether the caller has closed its connection; safe in any thread."""
        return self._gone

    @property
    def idle(self) -> bool:
        """Whether no question is under way."""
        return not self._under_way and not self._ready

    def close_idle(self) -> None:
        """Close it, where it is idle."""
        if self.idle:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Answer what is whole."""
        try:
            for number, payload in self._splitter.feed(data):
                self._answer(number, question(payload))
        except FrameError as error:
            log.warning("a connection is closed: %s", error)
            self._transport.abort()

    def pause_writing(self) -> None:
        """The caller reads no answers: it is asked nothing more from."""
        self._full = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._full = False
        self._go_on()

    def _answer(self, number: int, asked: Question) -> None:
        answer = self._answers(asked, self.is_gone)
        if isinstance(answer, Awaitable):
            self._under_way[number] = asyncio.ensure_future(self._later(number, answer))
            if len(self._under_way) >= MAX_UNDER_WAY:
                self._transport.pause_reading()
        else:
            self._send(number, answer)

    async def _later(self, number: int, answer: Awaitable[Reply]) -> None:
        try:
            self._send(number, await answer)
        finally:
            del self._under_way[number]
            self._go_on()

    def _go_on(self) -> None:
        if not self._gone and not self._full and len(self._under_way) < MAX_UNDER_WAY:
            self._transport.resume_reading()

    def _send(self, number: int, answer: Reply) -> None:
        if not self._ready:
            asyncio.get_running_loop().call_soon(self._flush)
        self._ready.append(frame(number, answer))

    def _flush(self) -> None:
        if not self._gone:
            self._transport.write(b"".join(self._ready))
        self._ready.clear()

"""The service's side of a connection that carries frames (app/wire/frames.py)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
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
# Questions of one connection under way; while there are so many, no more are begun. Nor while the
# caller reads no answers.
MAX_UNDER_WAY = 256
# Seconds that questions of one connection may take of the loop before it is another's turn.
TURN = 0.005
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
        # By task, not by number: a caller may use one twice.
        self._under_way: set[asyncio.Future[None]] = set()
        self._ready: list[bytes] = []
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._gone = self._full = self._paused = self._scheduled = False
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
        """Whether no question waits or is under way."""
        return not (self._waiting or self._under_way or self._ready)

    def close_idle(self) -> None:
        """Close it, where it is idle."""
        if self.idle:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Answer what is whole."""
        try:
            self._waiting.extend(self._splitter.feed(data))
        except FrameError as error:
            self._refuse(error)
        else:
            self._work()

    def pause_writing(self) -> None:
        """The caller reads no answers: it is asked nothing more from."""
        self._full = True

    def resume_writing(self) -> None:
        """It reads again."""
        self._full = False
        self._work()

    @property
    def _blocked(self) -> bool:
        return self._gone or self._full or len(self._under_way) >= MAX_UNDER_WAY

    def _work(self) -> None:
        """Begin what waits, for a turn; nothing is read while something is left."""
        ends = time.monotonic() + TURN
        while self._waiting and not self._blocked:
            number, payload = self._waiting.popleft()
            try:
                self._answer(number, question(payload))
            except FrameError as error:
                self._refuse(error)
                return
            if time.monotonic() > ends:
                break
        if self._waiting and not self._blocked and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._next_turn)
        self._read(on=not self._waiting and not self._blocked)

    def _next_turn(self) -> None:
        self._scheduled = False
        self._work()

    def _read(self, *, on: bool) -> None:
        if self._gone or on is not self._paused:
            return
        self._paused = not on
        if on:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _refuse(self, error: FrameError) -> None:
        log.warning("a connection is closed: %s", error)
        self._gone = True
        self._waiting.clear()
        self._transport.abort()

    def _answer(self, number: int, asked: Question) -> None:
        answer = self._answers(asked, self.is_gone)
        if isinstance(answer, Awaitable):
            task = asyncio.ensure_future(self._later(number, answer))
            self._under_way.add(task)
            task.add_done_callback(self._ended)
        else:
            self._send(number, answer)

    async def _later(self, number: int, answer: Awaitable[Reply]) -> None:
        self._send(number, await answer)

    def _ended(self, task: asyncio.Future[None]) -> None:
        self._under_way.discard(task)
        if self._waiting or self._paused:
            self._work()

    def _send(self, number: int, answer: Reply) -> None:
        if not self._ready:
            asyncio.get_running_loop().call_soon(self._flush)
        self._ready.append(frame(number, answer))

    def _flush(self) -> None:
        if not self._gone:
            self._transport.write(b"".join(self._ready))
        self._ready.clear()

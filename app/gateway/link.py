"""The gateway's side of a connection that carries frames (app/wire/frames.py)."""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

from app.wire.frames import MAX_ANSWER, PATH, PROTOCOL, FrameError, Question, Splitter, frame

# An answer to the request that asks for frames is longer than this from no service of ours.
MAX_HEAD = 8192
# Bytes that wait to be sent. A replica that takes no more of them is asked nothing.
MAX_UNSENT = 1 << 20


class RefusedError(ConnectionError):
    """The service is there, but drained, broken, or of a release that has no frames."""


class Link(asyncio.Protocol):
    """One connection to one replica, with any number of questions under way."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._splitter = Splitter(MAX_ANSWER)
        self._under_way: dict[int, asyncio.Future[bytes]] = {}
        self._unsent: list[bytes] = []
        self._number = 0
        self._head = b""
        self._open = False
        self._switched: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport

    @staticmethod
    async def connect(
        address: str, tls: ssl.SSLContext | None, seconds: float, name: str | None = None
    ) -> Link:
        """A link to ``host:port`` that has been switched to frames.

        Args:
            address: of the replica.
            tls: None for a plain connection.
            seconds: how long it may take.
            name: that its certificate has to be for; needs ``tls``.

        Raises: OSError (TimeoutError, ssl.SSLError, RefusedError).
        """
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            _, link = await loop.create_connection(
                lambda: Link(address), host, int(port), ssl=tls, server_hostname=name
            )
            try:
                await link._switched
            except BaseException:
                link.close()
                raise
        return link

    @property
    def usable(self) -> bool:
        """Whether questions may be sent."""
        return self._open and self._transport.get_write_buffer_size() < MAX_UNSENT

    @property
    def under_way(self) -> int:
        """How many questions are not answered yet."""
        return len(self._under_way)

    async def ask(self, message: Question, seconds: float) -> bytes:
        """The payload of the reply; raises OSError (TimeoutError, ConnectionError)."""
        if not self._open:
            raise ConnectionResetError("the link is closed")
        loop = asyncio.get_running_loop()
        number = self._number = (self._number + 1) & 0xFFFFFFFF
        reply: asyncio.Future[bytes] = loop.create_future()
        self._under_way[number] = reply
        if not self._unsent:  # what is asked in one turn of the loop goes together
            loop.call_soon(self._flush)
        self._unsent.append(frame(number, message))
        patience = loop.call_later(seconds, _fail, reply, TimeoutError())
        try:
            return await reply
        finally:
            patience.cancel()
            self._under_way.pop(number, None)

    def close(self) -> None:
        """Close it at once, whatever is under way."""
        self._lose(ConnectionResetError("the link was closed"))
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for frames."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name
        self._transport.write(
            f"GET {PATH} HTTP/1.1\r\nHost: {self._host}\r\nConnection: Upgrade\r\n"
            f"Upgrade: {PROTOCOL}\r\n\r\n".encode("ascii")
        )

    def connection_lost(self, _: Exception | None) -> None:
        """Whoever waits for an answer learns that none comes."""
        self._lose(ConnectionResetError("the link was lost"))

    def data_received(self, data: bytes) -> None:
        """Hand on what is whole."""
        if not self._open:
            data = self._switch(data)
        try:
            for number, payload in self._splitter.feed(data):
                reply = self._under_way.get(number)
                if reply is not None and not reply.done():
                    reply.set_result(payload)
        except FrameError as error:
            self._lose(ConnectionError(str(error)))
            self._transport.abort()

    def _switch(self, data: bytes) -> bytes:
        """Read the answer to the request for frames; what is behind it."""
        self._head += data
        head, ended, rest = self._head.partition(b"\r\n\r\n")
        if ended and head.startswith(b"HTTP/1.1 101 "):
            self._open, self._head = True, b""
            if not self._switched.done():
                self._switched.set_result(None)
            return rest
        if ended or len(self._head) > MAX_HEAD:
            line = head.partition(b"\r\n")[0][:100].decode("latin-1")
            self._lose(RefusedError(line))
            self._transport.abort()
        return b""

    def _flush(self) -> None:
        if self._open:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def _lose(self, error: OSError) -> None:
        self._open = False
        if not self._switched.done():
            self._switched.set_exception(error)
        for reply in self._under_way.values():
            _fail(reply, error)


def _fail(reply: asyncio.Future[bytes], error: OSError) -> None:
    if not reply.done():
        reply.set_exception(error)

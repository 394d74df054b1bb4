"""Accepts connections where hosts call each other in TLS.

One port takes both: the first byte of a connection says whether it is TLS, before anything is read.
Callers of the host itself need none; those of other hosts do, where the mode is ``require``.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

from app.config import TlsConfig
from app.service.starting import HANDSHAKE
from app.tls import identity

# A connection of which nothing has come yet, and one that shakes hands, have so many seconds.
PATIENCE = 10.0
# Without a free descriptor, nothing is accepted for so long.
PAUSE = 1.0

log = logging.getLogger(__name__)


class Acceptor:
    """Takes what one listening socket gets, until it is closed.

    Args:
        listener: the socket; it stays open.
        make: makes the protocol of one connection.
        config: mode and files; raises ConfigError where they prove nothing.
    """

    def __init__(
        self, listener: socket.socket, make: Callable[[], asyncio.Protocol], config: TlsConfig
    ) -> None:
        self._listener = listener
        self._make = make
        self._only_tls = config.mode == "require"
        self._identity = identity(config.directory)
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._taking: set[asyncio.Task[None]] = set()
        listener.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Accept no more; connections that are there go on."""
        self._closed = True
        self._loop.remove_reader(self._listener.fileno())

    def _listen(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process has taken it, or its caller has gone
        except OSError as error:
            log.error("no connection can be accepted: %s", error)
            self._loop.remove_reader(self._listener.fileno())
            self._loop.call_later(PAUSE, self._listen)
            return
        sock.setblocking(False)
        task = self._loop.create_task(self._take(sock))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    async def _take(self, sock: socket.socket) -> None:
        peer = "nobody"
        try:
            peer = str(sock.getpeername()[0])
            first = await self._first_byte(sock)
            context = None
            if first == HANDSHAKE:
                context = self._identity.server()
            elif self._only_tls and not is_own_host(sock):
                if first:
                    log.warning("%s calls without TLS, and is refused", peer)
                sock.close()
                return
            timeout = None if context is None else PATIENCE
            await self._loop.connect_accepted_socket(
                self._make, sock, ssl=context, ssl_handshake_timeout=timeout
            )
        except ssl.SSLError as error:
            log.warning("%s is refused: %s", peer, error.reason or error)
            sock.close()
        except OSError:  # it has gone, or says nothing
            sock.close()

    async def _first_byte(self, sock: socket.socket) -> bytes:
        """The first byte, which stays to be read; raises OSError (TimeoutError)."""
        try:
            return sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            pass
        there = asyncio.Event()
        self._loop.add_reader(sock.fileno(), there.set)
        try:
            async with asyncio.timeout(PATIENCE):
                await there.wait()
        finally:
            self._loop.remove_reader(sock.fileno())
        return sock.recv(1, socket.MSG_PEEK)


def is_own_host(sock: socket.socket) -> bool:
    """Whether a connection comes from this host: no network has carried it.

    The kernel drops what comes from outside with an address of this host.
    """
    peer = str(sock.getpeername()[0])
    return peer in {sock.getsockname()[0], "127.0.0.1", "::1"}

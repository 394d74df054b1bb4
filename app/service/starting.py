"""A refusal from a drained service that still loads, so that nginx asks another replica at once.

Without this, systemd's socket keeps what arrives in a restart waiting until index or model are
loaded. That is right where nobody else could answer; a drain flag says that somebody can.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from app.service.refusal import TITLES

# A connection gets so many seconds to send its request, and as many to close after the answer.
PATIENCE = 1.0
HEAD_LIMIT = 1 << 16
# The first byte of TLS: a handshake record. No method of HTTP begins so.
HANDSHAKE = b"\x16"

log = logging.getLogger(__name__)


def answer(status: int) -> bytes:
    """The whole response with this status."""
    title = TITLES[status]
    body = (
        f'{{"type":"urn:askfleet:problem:starting","title":"{title}","status":{status},'
        '"detail":"this replica is drained and still loading","code":"starting"}'
    )
    head = (
        f"HTTP/1.1 {status} {title}\r\nContent-Type: application/problem+json\r\n"
        f"Retry-After: 1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode("ascii")


class _Caller:
    """One connection: what it has sent of its head, and when its time is up."""

    def __init__(self, sock: socket.socket, answer: bytes) -> None:
        self.sock = sock
        self._answer = answer
        self.answered = False
        self.ends = time.monotonic() + PATIENCE
        self._head = b""

    def read(self) -> bool:
        """Take what has come; answer at the end of the head; False when the caller has gone.

        What follows the head is read and dropped: a close with bytes unread is a reset, and a
        reset can destroy the answer before the caller has seen it.
        """
        data = self.sock.recv(1 << 16)
        if data.startswith(HANDSHAKE) and not self._head:
            return False  # TLS: a close says enough
        if data and not self.answered:
            self._head += data
            if b"\r\n\r\n" in self._head or len(self._head) > HEAD_LIMIT:
                self.answer()
        return bool(data)

    def answer(self) -> None:
        """Send the answer, which fits any send buffer, and the end of our side."""
        self.answered, self._head = True, b""
        self.ends = time.monotonic() + PATIENCE
        self.sock.sendall(self._answer)
        self.sock.shutdown(socket.SHUT_WR)


class StartingResponder:
    """Answers on the listening sockets, in a thread, from now until ``stop``.

    It ends by itself when the drain flag is removed: connections queue again from then on.

    Args:
        listeners: the sockets that the service will accept from.
        drain_file: the flag.
        status: of the answer, see ``refusal_status``.
    """

    def __init__(
        self, listeners: Sequence[socket.socket], drain_file: Path, status: int = 503
    ) -> None:
        self._answer = answer(status)
        self._listeners = listeners
        self._drain_file = drain_file
        self._callers: set[_Caller] = set()
        self._stop = threading.Event()
        self._let_go = threading.Event()
        self._wake, self._woken = socket.socketpair()
        threading.Thread(target=self._run, name="starting", daemon=True).start()

    def stop(self) -> None:
        """Leave the listeners alone: after this returns, nothing is accepted from them here.

        Who was accepted before is still answered, beside the service.
        """
        self._stop.set()
        self._wake.close()
        self._let_go.wait()

    def _run(self) -> None:
        try:
            with selectors.DefaultSelector() as selector:
                self._serve(selector)
        except Exception:  # whatever happens here, the service starts; callers wait for it
            log.exception("callers are not told that the service is starting")
        finally:
            self._let_go.set()
            self._woken.close()

    def _serve(self, selector: selectors.BaseSelector) -> None:
        sources = (*self._listeners, self._woken)
        for source in sources:
            source.setblocking(False)
            selector.register(source, selectors.EVENT_READ)
        while self._callers or not self._let_go.is_set():
            events = selector.select(PATIENCE / 4)
            if not self._let_go.is_set() and (self._stop.is_set() or not self._drain_file.exists()):
                for source in sources:
                    selector.unregister(source)
                self._let_go.set()
            for key, _ in events:
                if isinstance(key.data, _Caller):
                    self._read(selector, key.data)
                elif not self._let_go.is_set():
                    self._accept(selector, key.fileobj)  # type: ignore[arg-type]  # a listener: the other end of _woken wakes only to let go
            self._expire(selector)

    def _accept(self, selector: selectors.BaseSelector, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        sock.setblocking(False)
        caller = _Caller(sock, self._answer)
        self._callers.add(caller)
        selector.register(sock, selectors.EVENT_READ, caller)

    def _read(self, selector: selectors.BaseSelector, caller: _Caller) -> None:
        try:
            here = caller.read()
        except OSError:
            here = False
        if not here:
            self._close(selector, caller)

    def _expire(self, selector: selectors.BaseSelector) -> None:
        """Answer who has not sent a whole head in time; close who does not go after the answer."""
        now = time.monotonic()
        for caller in [caller for caller in self._callers if caller.ends < now]:
            try:
                if caller.answered:
                    self._close(selector, caller)
                else:
                    caller.answer()
            except OSError:
                self._close(selector, caller)

    def _close(self, selector: selectors.BaseSelector, caller: _Caller) -> None:
        selector.unregister(caller.sock)
        caller.sock.close()
        self._callers.discard(caller)

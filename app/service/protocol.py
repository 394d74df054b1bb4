"""gunicorn's connection, with our errors and with an answer for who closes only its own half."""

from __future__ import annotations

import json
import re
from typing import Any

from gunicorn.asgi import parser, protocol

from app.errors import ProblemError
from app.service.frames import Frames
from app.wire import frames

# A question in a URL may be plain UTF-8, as curl sends what is typed; gunicorn takes ASCII only.
# That is its parser in Python, which the settings name: the one in C cannot be told.
parser.RFC9112_TARGET_INVALID = re.compile(rb"[\x00-\x20\x7f]")


_UPGRADE = (b"upgrade", frames.PROTOCOL.encode("ascii"))


class _ChunkedError(Exception):
    """The body comes in chunks."""


class _SwitchError(Exception):
    """The caller wants to go on in frames."""


class Protocol(protocol.ASGIProtocol):  # type: ignore[misc]  # gunicorn has no types
    """One connection. The worker knows all of them, so that it can close those that are idle."""

    def __init__(self, worker: Any) -> None:
        super().__init__(worker)
        self._half_closed = False

    def connection_made(self, transport: Any) -> None:
        """It is there."""
        self.worker.connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self.worker.connections.discard(self)
        super().connection_lost(exc)

    def is_gone(self) -> bool:
        """Whether nobody waits for an answer here; half a close is taken for it, as nginx does."""
        return self._closed or self._half_closed

    @property
    def idle(self) -> bool:
        """Whether it waits for a request of which nothing has come yet."""
        reading = self._callback_parser
        return self._awaiting_request and reading._state == "request_line" and not reading._buffer

    def close_idle(self) -> None:
        """Close it, where it is idle."""
        if self.idle:
            self._keepalive_timeout()

    def eof_received(self) -> bool:
        """The caller sends no more: a body that is not whole is refused, and told so."""
        self._half_closed = True
        receiver = self._body_receiver
        if self._awaiting_request or receiver is None:
            return False
        if not receiver._complete:
            receiver._body_wait_expired = True
            receiver._wake_waiter()
        return True

    def _on_headers_complete(self) -> bool:
        """Before any of the body is read: chunks are refused, whatever they are like."""
        if self._callback_parser.is_chunked:
            raise _ChunkedError
        if not self._callback_parser.path.startswith(b"/"):
            raise parser.InvalidRequestLine("the path of a request begins with a slash")
        if self._callback_parser.path == frames.PATH.encode("ascii"):
            raise _SwitchError
        return bool(super()._on_headers_complete())

    def _feed_callback_parser(self, data: bytes) -> bool:
        try:
            return bool(super()._feed_callback_parser(data))
        except _SwitchError:
            return self._switch()
        except _ChunkedError:
            detail = "send the body with a Content-Length, not in chunks"
            self._send_error_response(411, detail)
        except ValueError:  # a length of more digits than Python makes a number of
            self._send_error_response(400, "Invalid Content-Length value")
        self._close_transport()
        return False

    def _switch(self) -> bool:
        """Go on in frames, where this service is asked so, and answers now."""
        calls = self.worker.asgi.calls
        if not calls.served or _UPGRADE not in self._callback_parser.headers:
            detail = f"this path is for Upgrade: {frames.PROTOCOL}"
            self._send_error_response(404, detail)
        else:
            try:
                calls.check()
            except ProblemError as error:
                self._send_error_response(error.status, error.detail)
            else:
                transport = self.transport
                self.connection_lost(None)  # what HTTP has for it ends
                self._request_ready.set()
                Frames(self.worker.connections, calls.answer).switch(transport)
                return False
        self._close_transport()
        return False

    async def _serve_http_request(self, *about: Any) -> bool:
        # gunicorn makes a task of it, for applications that go on after their answer; ours end.
        return bool(await self._handle_http_request(*about))

    def _arm_keepalive_timer(self) -> None:
        if self._half_closed:
            self._keepalive_timeout()
        else:
            super()._arm_keepalive_timer()

    def _build_http_scope(self, *about: Any) -> dict[str, Any]:
        scope: dict[str, Any] = super()._build_http_scope(*about)
        scope["askfleet.gone"] = self.is_gone
        return scope

    def _is_websocket_upgrade(self, _: Any) -> bool:
        return False  # nothing here answers one: it is a request like any other

    def _send_error_response(self, status: int, message: str, *_: Any) -> None:
        """What gunicorn says of a request that no application sees, in the shape of our errors."""
        reason = protocol._REASON_PHRASES.get(status, "Error")
        code = reason.lower().replace(" ", "_")
        body = json.dumps(
            {
                "type": f"urn:askfleet:problem:{code}",
                "title": reason,
                "status": status,
                "detail": message or reason,
                "code": code,
            }
        )
        head = (
            f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\n"
            f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._safe_write((head + body).encode("ascii"))

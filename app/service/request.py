"""A request and an answer as the handlers of hot routes see them: plain values, no framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from app.errors import ProblemError

JSON = "application/json"
Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
# Where the worker leaves, in an ASGI scope, how to learn whether the caller has gone.
GONE = "askfleet.gone"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent; ``problem`` is the code and the detail where it is an error."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: Sequence[tuple[str, str]] = ()
    problem: tuple[str, str] | None = None


def json_answer(body: object, headers: Sequence[tuple[str, str]] = ()) -> Answer:
    """A JSON answer; ``body`` is anything msgspec encodes."""
    return Answer(msgspec.json.encode(body) + b"\n", headers=headers)


@dataclass(slots=True)
class Request:
    """One request, whose body may still be on its way.

    Attributes:
        gone: whether the caller has closed its connection; safe in any thread.
    """

    scope: Scope
    receive: Receive
    gone: Callable[[], bool] = field(init=False)

    def __post_init__(self) -> None:
        """Find out how to learn that the caller has gone: a test's caller never does."""
        self.gone = self.scope.get(GONE, lambda: False)

    @property
    def client(self) -> str:
        """The caller's address; empty where there is none."""
        return str((self.scope.get("client") or ("",))[0])

    @property
    def query(self) -> bytes:
        """What is behind the question mark, as it was sent."""
        return bytes(self.scope["query_string"])

    def header(self, name: str, default: str = "") -> str:
        """A header, by its name in lower case; of several the values, with commas."""
        wanted = name.encode("ascii")
        found = [value for key, value in self.scope["headers"] if key == wanted]
        return b",".join(found).decode("latin-1") if found else default

    def has(self, name: str) -> bool:
        """Whether there is a header of this name (lower case)."""
        wanted = name.encode("ascii")
        return any(key == wanted for key, _ in self.scope["headers"])

    def args(self) -> dict[str, str]:
        """The query string; of a repeated name the first."""
        pairs = parse_qsl(self.query.decode("utf-8", "replace"), keep_blank_values=True)
        return dict(reversed(pairs))

    async def body(self, limit: int) -> bytes:
        """The body, whole and as it was sent; at most ``limit`` bytes.

        Chunks are refused: nginx sends none. So is a body that ends before its length, whatever
        its beginning would mean.

        Raises: ProblemError 400 when some of it is missing, 411 for chunks, 413 when it is too
            large, 415 when it is compressed.
        """
        encoding = self.header("content-encoding", "identity")
        if encoding.strip().lower() not in {"", "identity"}:
            raise ProblemError(
                415, "unsupported_encoding", "the body is compressed; send it as it is"
            )
        if self.has("transfer-encoding"):
            raise ProblemError(
                411, "length_required", "send the body with a Content-Length, not in chunks"
            )
        expected = int(self.header("content-length", "0"))
        if expected > limit:
            detail = f"the body has {expected:,} bytes, at most {limit:,}"
            raise ProblemError(413, "request_entity_too_large", detail)
        parts, more = [], True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                break
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(parts)
        if len(body) < expected:
            raise ProblemError(
                400, "incomplete_body", f"{len(body)} bytes of the body came, of {expected}"
            )
        return body

    def check_waits(self) -> None:
        """Raise ProblemError 408 when nobody waits for the answer any more."""
        check_waits(self.gone)


def check_waits(gone: Callable[[], bool]) -> None:
    """Raise ProblemError 408 when the caller has gone: overload can do without its work."""
    if gone():
        raise ProblemError(408, "caller_gone", "the caller has closed its connection")

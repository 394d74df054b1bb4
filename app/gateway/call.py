"""What travels with every call of one question, and the ways in which a call can fail."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.errors import ProblemError
from app.service.request import Request
from app.wire import CANARY_HEADER, QUICK_HEADER

# A deadline that is so near has been spent.
MOMENT = 0.1
DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class Call:
    """What travels with every call of one question: when it must end, and its headers.

    ``asked`` grows with it: who answered, as ``shard-0=198.51.100.31:7200``. ``shard-0=pool`` is
    one of the replicas behind nginx, whose log says which.
    """

    ends: float
    headers: Mapping[str, str]
    asked: list[str] = field(default_factory=list)

    def left(self) -> float:
        """Seconds left; raises ProblemError 504 when none are."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise spent()
        return left

    def is_over(self) -> bool:
        """Whether time is up, or will be in a moment: nginx's own clock may run out first."""
        return self.ends - time.monotonic() < MOMENT

    def quick(self) -> Call:
        """The same, of what is answered in milliseconds."""
        return Call(self.ends, {**self.headers, QUICK_HEADER: "1"}, self.asked)


def spent() -> ProblemError:
    """The request's time is up. 504, which nginx does not retry: it would take as long again."""
    return ProblemError(504, DEADLINE, "the request's time is up", retry_after=1)


def forwarded_headers(request: Request, names: tuple[str, ...]) -> dict[str, str]:
    """The headers that go on from the caller's request to the pools.

    A value that is not plain printable ASCII stays behind: it must not spoil the calls.
    """
    values = {name: request.header(name.lower()).strip() for name in names if name != CANARY_HEADER}
    return {
        name: value
        for name, value in values.items()
        if value.isascii() and value.isprintable() and value
    }


class UpstreamError(Exception):
    """A pool did not give an answer; the text says which and why."""


class NobodyError(UpstreamError):
    """No replica of the pool answers, whatever it is asked."""


class PoolsGoneError(NobodyError):
    """nginx of this host, which has all pools, does not answer: no replica was asked."""


class RestartingError(NobodyError):
    """No replica of the pool answers, but one says 503: it may be back in a moment."""


class LateError(UpstreamError):
    """No replica answered a quick request in time, but one took it: it is there, and slow."""


class NotLoadedError(UpstreamError):
    """The replica that a pool chose lacks the generation or model; the pool has ``replicas``."""

    def __init__(self, text: str, replicas: int) -> None:
        super().__init__(text)
        self.replicas = replicas

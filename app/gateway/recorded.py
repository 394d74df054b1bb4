"""Samples of what users asked, in memory alone: for previews, and for who writes the next answers.

Nothing is held unless the operator says how much. Only texts are: no address, no key, no time. A
restart forgets them.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable
from typing import Any, Generic, TypeVar

import msgspec
from flask import Flask, Response, abort, request

from app.gateway.keys import LOOPBACK
from app.gateway.results import QueryResult
from app.service.lifecycle import Lifecycle
from app.service.siblings import ALONE_HEADER
from app.service.withdrawn import Known
from app.wire import RECORDED_PATH

# What every nginx of the fleet adds, and other proxies: who brings it is not who has asked.
PROXIED = "X-Forwarded-For"

T = TypeVar("T")


class Sample(Generic[T]):
    """At most ``size`` of all that were added, each as likely as any other.

    It is Waterman's algorithm R (Knuth, volume 2, section 3.4.2).
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._draw = random.Random()  # noqa: S311  # no secret
        self.seen = 0
        self.kept: list[T] = []

    def add(self, one: T) -> None:
        """Maybe keep one more."""
        self.seen += 1
        if len(self.kept) < self._size:
            self.kept.append(one)
        elif (place := self._draw.randrange(self.seen)) < self._size:
            self.kept[place] = one


class Gap(msgspec.Struct, frozen=True):
    """A question without a match, and the nearest document: its id and text, "" without any."""

    text: str
    id: str
    nearest: str


class Recorded:
    """Questions of users: a sample of all, and one of those without a match."""

    def __init__(self, size: int) -> None:
        self.asked: Sample[str] = Sample(size)
        self.unanswered: Sample[Gap] = Sample(size)

    def note(
        self, questions: Iterable[str], results: Iterable[QueryResult], min_confidence: float
    ) -> None:
        """Add the questions of a search. What a missing shard may have answered is no gap."""
        for question, result in zip(questions, results, strict=True):
            self.asked.add(question)
            if not result.missing and result.match(min_confidence) is None:
                nearest = (result.hits[0].id, result.hits[0].text) if result.hits else ("", "")
                self.unanswered.add(Gap(question, *nearest))

    def told(self, withdrawn: Collection[str] = ()) -> dict[str, Any]:
        """Both samples, and how many each is of; nothing of a document that is withdrawn."""
        asked, gaps = list(self.asked.kept), list(self.unanswered.kept)
        return {
            "asked": {"seen": self.asked.seen, "texts": asked},
            "unanswered": {
                "seen": self.unanswered.seen,
                "texts": [gap.text for gap in gaps],
                "nearest": ["" if gap.id in withdrawn else gap.nearest for gap in gaps],
            },
        }


def install(app: Flask, recorded: Recorded, lifecycle: Lifecycle, known: Known) -> None:
    """Tell each process's samples to this host alone; edges do not pass the path on."""

    @app.get(RECORDED_PATH)
    def tell() -> Response:
        # Another process of this unit asks by a socket of its own, without an address.
        own = not request.remote_addr or request.remote_addr in LOOPBACK
        if not own or PROXIED in request.headers:
            abort(404)
        parts = [recorded.told(known.now.ids)]
        if lifecycle.siblings is not None and ALONE_HEADER not in request.headers:
            others = lifecycle.siblings.ask(RECORDED_PATH, {})
            for body in filter(None, others.values()):
                parts += msgspec.json.decode(body)["processes"]
        return Response(msgspec.json.encode({"processes": parts}), content_type="application/json")

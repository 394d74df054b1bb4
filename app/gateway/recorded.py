"""Samples of what users asked, in memory alone: for previews, and for who writes the next answers.

Nothing is held unless the operator says how much. Only texts are: no address, no key, no time. A
restart forgets them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import msgspec
from flask import Flask, Response, abort, request

from app.gateway.keys import LOOPBACK
from app.gateway.search import QueryResult
from app.service.lifecycle import Lifecycle
from app.service.siblings import ALONE_HEADER
from app.wire import RECORDED_PATH


class Sample:
    """At most ``size`` texts of all that were added, each as likely as any other.

    It is Waterman's algorithm R (Knuth, volume 2, section 3.4.2).
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._draw = random.Random()  # noqa: S311  # no secret
        self.seen = 0
        self.texts: list[str] = []

    def add(self, text: str) -> None:
        """Maybe keep one more."""
        self.seen += 1
        if len(self.texts) < self._size:
            self.texts.append(text)
        elif (place := self._draw.randrange(self.seen)) < self._size:
            self.texts[place] = text

    def told(self) -> dict[str, Any]:
        """How many were seen, and those that are kept."""
        return {"seen": self.seen, "texts": list(self.texts)}


class Recorded:
    """Questions of users: a sample of all, and one of those without a match."""

    def __init__(self, size: int) -> None:
        self.asked, self.unanswered = Sample(size), Sample(size)

    def note(
        self, questions: Iterable[str], results: Iterable[QueryResult], min_confidence: float
    ) -> None:
        """Add the questions of a search. What a missing shard may have answered is no gap."""
        for question, result in zip(questions, results, strict=True):
            self.asked.add(question)
            if not result.missing and result.match(min_confidence) is None:
                self.unanswered.add(question)

    def told(self) -> dict[str, Any]:
        """Both samples."""
        return {"asked": self.asked.told(), "unanswered": self.unanswered.told()}


def install(app: Flask, recorded: Recorded, lifecycle: Lifecycle) -> None:
    """Tell the samples of all processes to this host alone; edges do not pass the path on."""

    @app.get(RECORDED_PATH)
    def tell() -> Response:
        # Another process of this unit asks by a socket of its own, without an address.
        if request.remote_addr and request.remote_addr not in LOOPBACK:
            abort(404)
        parts = [recorded.told()]
        if lifecycle.siblings is not None and ALONE_HEADER not in request.headers:
            others = lifecycle.siblings.ask(RECORDED_PATH, {})
            parts += [msgspec.json.decode(body) for body in others.values() if body]
        whole = {
            name: {
                "seen": sum(part[name]["seen"] for part in parts),
                "texts": [text for part in parts for text in part[name]["texts"]],
            }
            for name in ("asked", "unanswered")
        }
        return Response(msgspec.json.encode(whole), content_type="application/json")

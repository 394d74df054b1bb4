"""What `askfleet preview` prints on a host, and the controller reads: a line of JSON a question."""

from __future__ import annotations

from typing import Any

import msgspec

K = 10
# Results whose text a report shows, and how many characters of it; of the others, id and score.
SHOWN, CHARACTERS = 5, 300


class Found(msgspec.Struct, omit_defaults=True):
    """A result. ``text``, ``answer`` and ``metadata`` only of the first ``SHOWN``, cut."""

    id: str
    score: float
    text: str = ""
    answer: str | None = None
    metadata: dict[str, Any] | None = None


class Side(msgspec.Struct, omit_defaults=True):
    """What one generation answers a question.

    ``match`` is the id of the answer users would get, None where none is sure enough; ``ms`` is the
    time that the caller waited; ``error`` is "STATUS CODE" where there was no answer.
    """

    results: list[Found] = []
    match: str | None = None
    confidence: float | None = None
    partial: bool = False
    shards_asked: list[int] = []
    ms: float = 0.0
    error: str = ""


class Pair(msgspec.Struct):
    """A question, and both answers."""

    question: str
    before: Side
    after: Side

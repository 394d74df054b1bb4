"""What a search answered, read and shown to a person."""

from __future__ import annotations

import unicodedata
from typing import Any

import msgspec

from app.errors import AskfleetError, ConfigError

ANSWERED = 200  # HTTP
MATCH, NOTHING, REFUSED, UNANSWERED = 0, 1, 2, 3  # exit statuses
# Marks of direction: text behind them is shown in another order than it has.
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_CONTROLS = ("Cc", "Cs", "Zl", "Zp")


class AskError(AskfleetError):
    """There is no answer.

    Args:
        text: why, for a person.
        status: the exit status, 2 or 3.
        body: what the fleet answered, where it did.
    """

    def __init__(self, text: str, status: int = REFUSED, body: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.body = body


class Result(msgspec.Struct):
    """One document that was found; ``score`` is a cosine, ``lexical`` 0 to 1."""

    id: str
    text: str
    score: float
    answer: str | None = None
    lexical: float | None = None
    matched: str | None = None


class Query(msgspec.Struct):
    """The answer to one question, the best result first."""

    results: list[Result]
    partial: bool
    shards_asked: list[int]
    shards_missing: list[int]
    match: str | None = None
    confidence: float | None = None


class Asked(msgspec.Struct):
    """An answer of ``/v1/search`` to one question; ``timings_ms`` in milliseconds."""

    generation: str
    queries: list[Query]
    timings_ms: dict[str, float]

    @classmethod
    def read(cls, body: str) -> Asked:
        """Read an answer's JSON; raises ConfigError."""
        try:
            found = msgspec.json.decode(body, type=cls)
        except msgspec.DecodeError as error:
            raise ConfigError(f"its answer is another: {error}") from error
        if len(found.queries) != 1:
            raise ConfigError(f"it answered {len(found.queries)} questions, one was asked")
        return found

    @property
    def query(self) -> Query:
        """The answer to the one question."""
        return self.queries[0]


def plain(told: object) -> str:
    """Text that no terminal takes for a command: white space is a space, controls a sign."""
    return "".join(
        " "
        if sign.isspace()
        else "\ufffd"
        if sign in _TURNS or unicodedata.category(sign) in _CONTROLS
        else sign
        for sign in str(told)
    )


def show(console: Any, answer: Asked) -> None:
    """Print results, how sure the first one is, and who answered.

    Args:
        console: of rich; its width is kept.
        answer: to one question.
    """
    query = answer.query
    digits = len(str(len(query.results)))
    for rank, result in enumerate(query.results, 1):
        _indented(console, f"{rank:>{digits}}  ", result.text, "bold")
        if result.answer:
            _indented(console, " " * (digits + 2), result.answer, "green")
        _indented(console, " " * (digits + 2), _figures(result), "dim")
    if query.match is None:
        none = "Nothing was found." if not query.results else "Nothing fits"
        sure = f": confidence {query.confidence:.2f}." if query.confidence is not None else "."
        _indented(console, "", none + sure if query.results else none, "yellow")
    if query.partial:
        lost = ", ".join(map(str, query.shards_missing))
        _indented(console, "", f"Incomplete: no answer from shard {lost}.", "yellow")
    sure = f" · confidence {query.confidence:.2f}" if query.confidence is not None else ""
    shards = ", ".join(map(str, query.shards_asked)) or "none"
    total = answer.timings_ms.get("total", 0.0)
    told = f"generation {answer.generation} · shards {shards} · {total:.1f} ms{sure}"
    _indented(console, "", told, "dim")


def _figures(result: Result) -> str:
    words = f"words {result.lexical:.2f}" if result.lexical is not None else ""
    matched = "found by its answer" if result.matched == "answer" else ""
    return " · ".join(filter(None, (f"score {result.score:.3f}", words, matched, result.id)))


def _indented(console: Any, head: str, told: str, style: str) -> None:
    """Print a text below a head, broken between words at the console's width."""
    from rich.text import Text

    room = max(console.width - len(head), 1)
    for number, line in enumerate(Text(plain(told), style=style).wrap(console, room)):
        line.rstrip()
        console.print(Text(" " * len(head) if number else head) + line, soft_wrap=True)

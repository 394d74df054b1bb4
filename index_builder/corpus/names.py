"""Which names of a file, columns or keys, are a document's text, id and answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from app.errors import CorpusError
from index_builder.corpus.document import JSON

TEXTS = ("text", "question", "query", "title")
PAIR = ("question1", "question2")
IDS = ("id", "_id")
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Names:
    """Names that were asked for; None stands for the usual ones."""

    text: str | None = None
    id: str | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """Names as one file has them. `texts` has two where a record holds two questions."""

    texts: tuple[str, ...]
    id: str | None
    answer: str | None
    metadata: str | None

    @property
    def used(self) -> frozenset[str]:
        """All of them."""
        return frozenset(filter(None, (*self.texts, self.id, self.answer, self.metadata)))


@lru_cache(maxsize=256)
def choose(found: tuple[str, ...], wanted: Names) -> Chosen | None:
    """Find text, id, answer and metadata among the names of a record; None without a text.

    Case does not matter, an exact name goes first. `body` is the answer under a `title`.
    `question1` and `question2` are two questions, each named after its text.
    """
    text = named(found, [wanted.text] if wanted.text else TEXTS)
    pair = [named(found, [name]) for name in PAIR]
    answers = ["answer", "body"] if text is not None and text.lower() == "title" else ["answer"]
    answer = named(found, [wanted.answer] if wanted.answer else answers)
    metadata = named(found, ["metadata"])
    if text is None and not wanted.text and None not in pair:
        return Chosen(tuple(filter(None, pair)), None, answer, metadata)
    if text is None:
        return None
    return Chosen((text,), named(found, [wanted.id] if wanted.id else IDS), answer, metadata)


def id_of(record: Mapping[str, JSON]) -> JSON:
    """The id of a record, under whichever of its usual names; None without one."""
    name = named(tuple(record), IDS)
    return None if name is None else record[name]


def named(found: tuple[str, ...], wanted: Iterable[str]) -> str | None:
    """The first of the wanted names that is there, as it is spelt there."""
    lower = {name.strip().lower(): name for name in reversed(found)}
    for name in wanted:
        if name in found:
            return name
        if (other := lower.get(name.strip().lower())) is not None:
            return other
    return None


def missing(wanted: Names, found: Iterable[str]) -> str:
    """What to say where there is no text: the names that were looked for, and those seen."""
    looked = [wanted.text] if wanted.text else [*TEXTS, " and ".join(PAIR)]
    seen = [repr(name[:40]) for name in found if name.strip()]
    more = f" and {len(seen) - SHOWN:,} more" if len(seen) > SHOWN else ""
    return (
        f"no {' or '.join(looked)}; the names here are {', '.join(seen[:SHOWN]) or 'none'}{more}"
        + ("" if wanted.text else "; name one with --text-field")
    )


def check_columns(path: object, wanted: Names, columns: tuple[str, ...]) -> Chosen:
    """`choose` for the header of a table; raises CorpusError for a column that is not there."""
    chosen = choose(columns, wanted)
    if chosen is None:
        raise CorpusError(f"{path}: {missing(wanted, columns)}")
    for option, name in (("id", wanted.id), ("answer", wanted.answer)):
        if name and named(columns, [name]) is None:
            seen = ", ".join(repr(column[:40]) for column in columns[:SHOWN])
            raise CorpusError(f"{path}: --{option}-field: no column {name!r} among {seen}")
    return chosen

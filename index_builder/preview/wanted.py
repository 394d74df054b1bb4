"""What a preview asks: questions, labels, fields to split by, gates."""

from __future__ import annotations

import random
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.errors import ConfigError, CorpusError
from index_builder.labelled import read_labels, read_questions

LIMIT = 5000
"""Questions that are asked at most, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Gates:
    """Figures at which a preview fails; None only reports.

    Attributes:
        max_changed: part of the questions whose first answer may be another, 0 to 1.
        min_overlap: part of ten answers that both generations give at least, a mean, 0 to 1.
        max_hit_loss: how much of hit@1 may be lost, 0 to 1; judged where there are labels.
    """

    max_changed: float | None = None
    min_overlap: float | None = None
    max_hit_loss: float | None = None

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Gates:
        """Gates by name, as people type them; raises ConfigError naming what is no number."""
        return cls(**{name: _part(name, value) for name, value in given.items()})


def _part(name: str, value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number <= 1:
        raise ConfigError(f"askfleet_preview_{name}: {value!r} is no number from 0 to 1")
    return number


@dataclass(frozen=True, slots=True)
class Wanted:
    """Questions in the order they are asked; ``relevant`` are ids of documents by question."""

    texts: list[str]
    relevant: dict[str, frozenset[str]] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    gates: Gates = Gates()
    remarks: tuple[str, ...] = ()

    @classmethod
    def read(
        cls,
        questions: Sequence[Path],
        qrels: Path | None = None,
        limit: int = LIMIT,
        fields: Sequence[str] = (),
        gates: Mapping[str, Any] | None = None,
    ) -> Wanted:
        """Read files of any corpus format; labels need questions with ids.

        Of more questions than ``limit`` it takes a sample, always the same of the same files:
        those with labels, and of the others as many as there is room for.

        Raises: CorpusError naming the line at fault, ConfigError for a gate that is no number.
        """
        by_id: dict[str, str] = {}
        asked: dict[str, None] = {}
        for file in questions:
            read = read_questions(file)
            asked |= dict.fromkeys(read.values())
            for name, text in read.items() if qrels else ():
                if by_id.setdefault(name, text) != text:
                    raise CorpusError(
                        f"{file}: the id {name!r} is another question's in an earlier file; labels "
                        "need a different id for each question"
                    )
        relevant = _relevant(qrels, by_id) if qrels else {}
        texts = list(asked)
        remarks = []
        if len(texts) > limit:
            some = _sample(texts, relevant, limit)
            labels = sum(text in relevant for text in some)
            parts = f": {labels:,} with labels, {limit - labels:,} without" if labels else ""
            remarks.append(
                f"{limit:,} of {len(texts):,} questions are asked, drawn at random{parts}."
            )
            texts = some
        judged = Gates.read(gates or {})
        if judged.max_hit_loss is not None and not relevant:
            remarks.append("askfleet_preview_max_hit_loss is not judged: there are no labels.")
        return cls(texts, relevant, tuple(fields), judged, tuple(remarks))


def _sample(texts: Sequence[str], first: Container[str], limit: int) -> list[str]:
    """Texts in their order; those in ``first`` go before the others."""
    draws = random.Random(0)  # noqa: S311  # no secret
    drawn = draws.sample(range(len(texts)), len(texts))
    drawn.sort(key=lambda place: texts[place] not in first)  # stable, so each part stays drawn
    return [texts[place] for place in sorted(drawn[:limit])]


def _relevant(qrels: Path, texts: Mapping[str, str]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line, query, document in read_labels(qrels):
        if query not in texts:
            raise CorpusError(f"{qrels}:{line}: no question has the id {query!r}")
        found.setdefault(texts[query], set()).add(document)
    if not found:
        raise CorpusError(f"{qrels} has no label with a grade above 0")
    return {text: frozenset(ids) for text, ids in found.items()}

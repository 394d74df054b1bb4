"""One question: what both generations answer, and how much that differs."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from app.wire.preview import Pair, Side
from index_builder.preview.compare import overlap, rank_biased_overlap


class Both(msgspec.Struct, frozen=True):
    """A figure of the generation that users have, and of the one to come."""

    before: float
    after: float


class Change(msgspec.Struct, frozen=True):
    """How the answers to one question differ.

    ``drift`` is the score of the first result after the change, less that before.
    """

    pair: Pair
    changed: bool
    overlap: float
    rbo: float
    drift: float
    unanswered: bool = False
    answered: bool = False


def ranked(pairs: Iterable[Pair]) -> list[Change]:
    """The questions that both generations answered, those that changed most first."""
    compared = (pair for pair in pairs if not (pair.before.error or pair.after.error))
    return sorted(map(change_of, compared), key=_weight)


def change_of(pair: Pair) -> Change:
    """How the answers to one question differ."""
    before, after = ([found.id for found in side.results] for side in (pair.before, pair.after))
    had, has = pair.before.match is not None, pair.after.match is not None
    return Change(
        pair,
        before[:1] != after[:1],
        overlap(before, after),
        rank_biased_overlap(before, after),
        _first(pair.after) - _first(pair.before),
        had and not has,
        has and not had,
    )


def _weight(change: Change) -> tuple[bool, float, float]:
    """What users lose comes first, then the lists that differ most, then the larger drift."""
    return not change.unanswered, round(change.rbo, 6), -abs(change.drift)


def _first(side: Side) -> float:
    return side.results[0].score if side.results else 0.0


def mean(values: Iterable[float]) -> float:
    """0 of nothing."""
    found = list(values)
    return sum(found) / len(found) if found else 0.0

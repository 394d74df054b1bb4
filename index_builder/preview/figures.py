"""What a preview found, as figures; the same structs are its JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec
import numpy as np

from app.wire.preview import Found, Pair, Side
from index_builder.preview.compare import overlap, rank_biased_overlap
from index_builder.preview.labels import Labelled, labelled
from index_builder.preview.wanted import Wanted
from index_builder.report.figures import SCORE_STEP

# Questions that a report shows, of those that changed most.
SHOWN = 200
# Values of a field that have a row of their own.
VALUES = 8
OTHERS = "others"


class Both(msgspec.Struct, frozen=True):
    """A figure of the generation that users have, and of the one to come."""

    before: float
    after: float


class Latency(msgspec.Struct, frozen=True):
    """Time that the caller waited for an answer, in ms; one question at a time."""

    p50: Both
    p90: Both
    p99: Both


class Group(msgspec.Struct, frozen=True):
    """The questions whose first result has a value in a field, before the change."""

    field: str
    value: str
    questions: int
    changed: float
    overlap: float
    unanswered: Both


class Change(msgspec.Struct, frozen=True):
    """One question: what both generations answer, and how much that differs.

    ``drift`` is the score of the first result after the change, less that before.
    """

    pair: Pair
    changed: bool
    overlap: float
    rbo: float
    drift: float
    unanswered: bool = False
    answered: bool = False


class Figures(msgspec.Struct, frozen=True):
    """The figures of a preview. Parts are of the questions that both generations answered.

    Attributes:
        before: the generation that users have.
        after: the one to come.
        questions: how many were asked.
        compared: how many both answered; the figures below are of these.
        errors: questions without an answer, by what came instead, of each generation.
        newly_failed: questions that the generation of before answers, and the new one does not.
        changed: part whose first result is another document.
        overlap: mean part of ten results that both have.
        rbo: mean rank-biased overlap.
        overlaps: questions by how many of ten results both have, 0 to 10.
        score: median score of the first result.
        scores: histograms of it, in steps of ``step``.
        drift: mean of the score after, less before.
        confidence: mean confidence, of the questions where both have one; None where none has.
        unanswered: part without a match, which users see as no answer.
        newly_unanswered: questions with a match before, and none after.
        newly_answered: the other way round.
        partial: questions answered without a shard.
        asked: mean number of shards asked.
        most_changed: at most ``SHOWN``, those that changed most first.
    """

    before: str
    after: str
    questions: int
    compared: int
    errors: tuple[dict[str, int], dict[str, int]]
    newly_failed: int
    changed: float
    overlap: float
    rbo: float
    overlaps: tuple[int, ...]
    step: float
    score: Both
    scores: tuple[tuple[int, ...], tuple[int, ...]]
    drift: float
    confidence: Both | None
    unanswered: Both
    newly_unanswered: int
    newly_answered: int
    partial: Both
    asked: Both
    latency: Latency | None
    groups: tuple[Group, ...]
    labelled: Labelled | None
    most_changed: tuple[Change, ...]


def ranked(pairs: Iterable[Pair]) -> list[Change]:
    """The questions that both generations answered, those that changed most first."""
    compared = (pair for pair in pairs if not (pair.before.error or pair.after.error))
    return sorted(map(change_of, compared), key=_weight)


def measured(
    wanted: Wanted, pairs: Sequence[Pair], changes: Sequence[Change], before: str, after: str
) -> Figures:
    """Compare all answers; ``changes`` are what `ranked` makes of ``pairs``."""
    compared = [change.pair for change in changes]
    sides = [[pair.before for pair in compared], [pair.after for pair in compared]]

    def both(figure: Callable[[Side], float]) -> Both:
        return Both(*(_mean(map(figure, side)) for side in sides))

    # A generation that tells it does not where it found nothing.
    sure = [
        (pair.before.confidence, pair.after.confidence)
        for pair in compared
        if pair.before.confidence is not None and pair.after.confidence is not None
    ]
    ten = Counter(round(change.overlap * 10) for change in changes)
    firsts = [[side.results[0].score for side in one if side.results] for one in sides]
    return Figures(
        before,
        after,
        len(pairs),
        len(compared),
        (
            dict(Counter(pair.before.error for pair in pairs if pair.before.error)),
            dict(Counter(pair.after.error for pair in pairs if pair.after.error)),
        ),
        sum(bool(pair.after.error) and not pair.before.error for pair in pairs),
        _mean(change.changed for change in changes),
        _mean(change.overlap for change in changes),
        _mean(change.rbo for change in changes),
        tuple(ten[place] for place in range(11)),
        SCORE_STEP,
        Both(*(float(np.median(one)) if one else 0.0 for one in firsts)),
        (_histogram(firsts[0]), _histogram(firsts[1])),
        _mean(change.drift for change in changes),
        Both(*map(_mean, zip(*sure, strict=True))) if sure else None,
        both(lambda side: side.match is None),
        sum(change.unanswered for change in changes),
        sum(change.answered for change in changes),
        both(lambda side: side.partial),
        both(lambda side: len(side.shards_asked)),
        _latency(sides) if compared else None,
        tuple(_groups(wanted.fields, changes)),
        labelled(wanted.relevant, compared),
        tuple(changes[:SHOWN]),
    )


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


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0


def _histogram(scores: Sequence[float]) -> tuple[int, ...]:
    bars = round(1 / SCORE_STEP)
    counts = Counter(min(max(int(score / SCORE_STEP), 0), bars - 1) for score in scores)
    return tuple(counts[place] for place in range(bars))


def _latency(sides: Sequence[Sequence[Side]]) -> Latency:
    times = [[side.ms for side in one] for one in sides]
    parts = (50, 90, 99)
    return Latency(*(Both(*(float(np.percentile(one, part)) for one in times)) for part in parts))


def _groups(fields: Sequence[str], changes: Sequence[Change]) -> Iterable[Group]:
    for field in fields:
        members: dict[str, list[Change]] = {}
        for change in changes:
            for value in _values(change.pair.before.results[:1], field):
                members.setdefault(value, []).append(change)
        ordered = sorted(members, key=lambda value: (-len(members[value]), value))
        rest = [change for value in ordered[VALUES:] for change in members[value]]
        rows = [(value, members[value]) for value in ordered[:VALUES]]
        for value, some in [*rows, (OTHERS, rest)] if rest else rows:
            yield Group(
                field,
                value,
                len(some),
                _mean(change.changed for change in some),
                _mean(change.overlap for change in some),
                Both(
                    _mean(change.pair.before.match is None for change in some),
                    _mean(change.pair.after.match is None for change in some),
                ),
            )


def _values(first: Sequence[Found], field: str) -> list[str]:
    """The values of a field as people read them; of a list each, once."""
    value = (first[0].metadata or {}).get(field) if first else None
    listed = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(str(one) for one in listed if isinstance(one, str | int | float)))

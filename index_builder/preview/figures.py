"""What a preview found, as figures; the same structs are its JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from app.wire.preview import Pair, Side
from index_builder.preview.changes import Both, Change, mean
from index_builder.preview.groups import Group, groups_of
from index_builder.preview.labels import Labelled, labelled
from index_builder.preview.spread import Drift, Latency, drift, latency
from index_builder.preview.wanted import Wanted
from index_builder.report.figures import SCORE_STEP

# Questions that a report shows, of those that changed most.
SHOWN = 200


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
        drift: of the score; None where nothing was compared.
        confidence: mean confidence, of the questions where both have one; None where none has.
        confidence_drift: of the same questions.
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
    drift: Drift | None
    confidence: Both | None
    confidence_drift: Drift | None
    unanswered: Both
    newly_unanswered: int
    newly_answered: int
    partial: Both
    asked: Both
    latency: Latency | None
    groups: tuple[Group, ...]
    labelled: Labelled | None
    most_changed: tuple[Change, ...]


def measured(
    wanted: Wanted, pairs: Sequence[Pair], changes: Sequence[Change], before: str, after: str
) -> Figures:
    """Compare all answers; ``changes`` are what `ranked` makes of ``pairs``."""
    compared = [change.pair for change in changes]
    sides = [[pair.before for pair in compared], [pair.after for pair in compared]]

    def both(figure: Callable[[Side], float]) -> Both:
        return Both(*(mean(map(figure, side)) for side in sides))

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
        mean(change.changed for change in changes),
        mean(change.overlap for change in changes),
        mean(change.rbo for change in changes),
        tuple(ten[place] for place in range(11)),
        SCORE_STEP,
        Both(*(float(np.median(one)) if one else 0.0 for one in firsts)),
        (_histogram(firsts[0]), _histogram(firsts[1])),
        drift([change.drift for change in changes]),
        Both(*map(mean, zip(*sure, strict=True))) if sure else None,
        drift([after - before for before, after in sure]),
        both(lambda side: side.match is None),
        sum(change.unanswered for change in changes),
        sum(change.answered for change in changes),
        both(lambda side: side.partial),
        both(lambda side: len(side.shards_asked)),
        latency(changes),
        tuple(groups_of(wanted.fields, changes, wanted.relevant)),
        labelled(wanted.relevant, compared),
        tuple(changes[:SHOWN]),
    )


def _histogram(scores: Sequence[float]) -> tuple[int, ...]:
    bars = round(1 / SCORE_STEP)
    counts = Counter(min(max(int(score / SCORE_STEP), 0), bars - 1) for score in scores)
    return tuple(counts[place] for place in range(bars))

"""What labels say of two generations, with an interval for the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from app.wire.preview import Pair
from index_builder.labelled import gained

RESAMPLES = 2000
MEASURES = ("hit@1", "recall@10", "nDCG@10")


class Measure(msgspec.Struct, frozen=True):
    """A mean over labelled questions, 0 to 1.

    ``low`` and ``high`` bound the difference, after less before: the 95 % interval of a paired
    bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13). Where
    both have the same sign, the labels tell the two generations apart.
    """

    name: str
    before: float
    after: float
    low: float
    high: float


class Labelled(msgspec.Struct, frozen=True):
    """Measures of the labelled questions that both generations answered."""

    questions: int
    measures: tuple[Measure, ...]


def labelled(relevant: Mapping[str, frozenset[str]], pairs: Sequence[Pair]) -> Labelled | None:
    """Measure both generations; None without a labelled question."""
    judged = [pair for pair in pairs if pair.question in relevant]
    if not judged:
        return None
    gains = np.array(
        [
            [
                gained([found.id for found in side.results], relevant[pair.question])
                for side in (pair.before, pair.after)
            ]
            for pair in judged
        ]
    )  # (questions, sides, measures)
    means = gains.mean(axis=0)
    low, high = np.percentile(_resampled(gains[:, 1] - gains[:, 0]), (2.5, 97.5), axis=0)
    columns = zip(MEASURES, means[0], means[1], low, high, strict=True)
    return Labelled(
        len(judged), tuple(Measure(name, *map(float, values)) for name, *values in columns)
    )


def _resampled(
    differences: np.ndarray[tuple[int, int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Means of as many questions, drawn with replacement: (RESAMPLES, measures)."""
    count = len(differences)
    draws = np.random.default_rng(0)
    drawn = [draws.integers(0, count, count) for _ in range(RESAMPLES)]
    return np.stack([differences[places].mean(axis=0) for places in drawn])

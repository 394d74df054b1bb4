"""How a figure is spread over the questions: percentiles of latency, deciles of drift."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from index_builder.preview.changes import Both, Change

_PERCENTILES = (50, 90, 99)
_DECILES = tuple(range(10, 100, 10))


class Latency(msgspec.Struct, frozen=True):
    """Time that the caller waited for an answer, in ms; one question at a time."""

    p50: Both
    p90: Both
    p99: Both


class Drift(msgspec.Struct, frozen=True):
    """A figure of the first result after the change, less that before it.

    Attributes:
        mean: over the questions.
        deciles: nine; a tenth of the questions drift less than the first of them.
    """

    mean: float
    deciles: tuple[float, ...]


def latency(changes: Sequence[Change]) -> Latency | None:
    """None where nothing was compared."""
    if not changes:
        return None
    times = [
        [side.ms for side in one]
        for one in zip(*((c.pair.before, c.pair.after) for c in changes), strict=True)
    ]
    return Latency(
        *(Both(*(float(np.percentile(one, part)) for one in times)) for part in _PERCENTILES)
    )


def drift(differences: Sequence[float]) -> Drift | None:
    """None where there is no difference to tell of."""
    if not differences:
        return None
    deciles = np.percentile(differences, _DECILES)
    return Drift(float(np.mean(differences)), tuple(map(float, deciles)))

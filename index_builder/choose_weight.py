"""Choose how much words count beside the score, from labelled questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.generation.manifest_parts import Rescoring, WeightRow
from app.generation.rescoring import Rescorer
from index_builder.labels import Labelled
from index_builder.searched import Searched

WEIGHTS = (0.0, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5)
USUAL = 0.25
"""Good on all sets of docs/quality.md: taken without labels, or where they prefer no other."""

# With 200 labels, a lower bar loses up to 0.3 points where all weights are about as good; with this
# one no set loses 0.1, and those gain that want another weight (tests/bench/quality_weights.py).
SURE = 1.5


def choose_weight(
    searched: Searched,
    rescorer: Rescorer,
    labels: Sequence[Labelled],
    vectors: NDArray[np.float32],
) -> Rescoring:
    """The weight whose first answers are right most often, and what each weight gives.

    Args:
        searched: the generation.
        rescorer: its words.
        labels: the questions; those without a right document count for nothing here.
        vectors: (n, dim) theirs.
    """
    rescoring = rescorer.rescoring
    ways = [
        replace(rescorer, rescoring=msgspec.structs.replace(rescoring, weight=weight))
        for weight in WEIGHTS
    ]
    hits: list[list[bool]] = []
    for one, vector in zip(labels, vectors, strict=True):
        if one.right:
            terms = rescorer.terms(one.question)
            found = searched.with_words(rescorer, terms, vector[None], rescoring.depth, 1)
            firsts = [found.places[way.rank(found.pool, 1).positions[0]] for way in ways]
            hits.append([int(first) in one.right for first in firsts])
    if not hits:
        return rescoring
    right = np.array(hits, np.float64).T
    table = tuple(
        WeightRow(weight, round(float(share), 4))
        for weight, share in zip(WEIGHTS, right.mean(axis=1), strict=True)
    )
    best = WEIGHTS[best_of(right)]
    return msgspec.structs.replace(rescoring, weight=best, labels=len(hits), measured=table)


def best_of(right: NDArray[np.float64]) -> int:
    """The place of the weight to take, of (weights, questions): 1 where the first answer is right.

    The usual one, unless another is better by more than ``SURE`` standard errors of the difference.
    """
    usual = WEIGHTS.index(USUAL)
    gains = right - right[usual]
    error = gains.std(axis=1) / np.sqrt(right.shape[1])
    sure = gains.mean(axis=1) - SURE * error
    best = int(sure.argmax())
    return best if sure[best] > 0 else usual

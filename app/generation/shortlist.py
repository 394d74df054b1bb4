"""What one shard offers for one question: candidates by score, and their words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.generation.manifest import Rescoring
from app.generation.merge import within_reach
from app.generation.shard_words import ShardWords


@dataclass(frozen=True, slots=True)
class Shortlist:
    """The candidates of one shard, best by score first.

    Attributes:
        rows: of each candidate.
        scores: inner products.
        coverage: how much of the question each has; empty where only scores are asked for.
        reached: positions of those that may be among the best of all shards.
        ordinals: of each; empty where only scores are asked for.
    """

    rows: list[int]
    scores: list[float]
    coverage: list[float]
    reached: list[int]
    ordinals: list[int]


def by_score(rows: NDArray[np.int64], scores: NDArray[np.float32]) -> Shortlist:
    """The hits of an index; rows are -1 where there are fewer."""
    real = rows >= 0
    found = rows[real].tolist()
    return Shortlist(found, scores[real].tolist(), [], list(range(len(found))), [])


def rescored(
    rows: NDArray[np.int64],
    scores: NDArray[np.float32],
    words: ShardWords,
    terms: bytes,
    k: int,
    rescoring: Rescoring,
) -> Shortlist:
    """The hits of an index with their words, ``k`` of them wanted in the end."""
    real = rows >= 0
    found, own = rows[real], scores[real].astype(np.float64)
    coverage = words.coverage(found, terms)
    ordinals = words.ordinals(found).tolist()
    keys = (own + rescoring.weight * coverage).tolist()
    reached = within_reach(keys, ordinals, k)
    return Shortlist(found.tolist(), own.tolist(), coverage.tolist(), reached, ordinals)

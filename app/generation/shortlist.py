"""What one shard offers for one question: the nearest, what has its names, and their words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.generation.manifest import Rescoring
from app.generation.merge import within_reach
from app.generation.shard_index import ShardIndex
from app.generation.shard_words import ShardWords
from app.generation.terms import unpack_terms


@dataclass(frozen=True, slots=True)
class Offered:
    """A candidate that may be in the answer; ``lexical`` is the coverage of the question's words.

    ``named``: it has a name of the question, and is a candidate for that however low its score is.
    """

    row: int
    score: float
    lexical: float | None = None
    named: bool = False


@dataclass(frozen=True, slots=True)
class Shortlist:
    """The candidates of one shard, best score first.

    Attributes:
        offered: those that may be among the best of all shards.
        ordinals: of the others; ``scores`` are theirs.
    """

    offered: list[Offered]
    ordinals: list[int]
    scores: list[float]


def by_score(rows: NDArray[np.int64], scores: NDArray[np.float32]) -> Shortlist:
    """The hits of an index; rows are -1 where there are fewer."""
    found = zip(rows.tolist(), scores.tolist(), strict=True)
    return Shortlist([Offered(row, score) for row, score in found if row >= 0], [], [])


@dataclass(frozen=True, slots=True)
class Candidates:
    """All candidates of one shard, best score first: (m,) each."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    coverage: NDArray[np.float64]
    named: NDArray[np.bool_]


def candidates(
    index: ShardIndex,
    words: ShardWords,
    query: NDArray[np.float32],
    terms: bytes,
    k: int,
    wanted: int,
) -> Candidates:
    """The ``k`` nearest of a question (1, dim), and whatever has one of its names.

    Args:
        index: of the shard.
        words: of the shard.
        query: the question's vector.
        terms: its words.
        k: how many.
        wanted: as of ``ShardIndex.search``.
    """
    names, buckets, weights = unpack_terms(terms)
    hits = index.search(query, k, wanted)
    real = hits.rows[0] >= 0
    rows, scores = hits.rows[0][real], hits.scores[0][real]
    having = words.named(names) if names else rows[:0]
    more = having[~np.isin(having, rows)]
    if len(more):
        more_scores = index.scores(query[0], more)
        order = np.lexsort((more, -more_scores))
        rows = np.concatenate([rows, more[order]])
        scores = np.concatenate([scores, more_scores[order]])
    coverage = words.coverage(rows, buckets, weights)
    return Candidates(rows, scores.astype(np.float64), coverage, np.isin(rows, having))


def shortlist(found: Candidates, words: ShardWords, k: int, rescoring: Rescoring) -> Shortlist:
    """Which candidates a gateway needs, ``k`` documents wanted in the end."""
    keys = (found.scores + rescoring.weight * found.coverage).tolist()
    ordinals = words.ordinals(found.rows).tolist()
    reached = within_reach(keys, ordinals, np.flatnonzero(found.named).tolist(), k)
    rows, scores = found.rows.tolist(), found.scores.tolist()
    coverage, named = found.coverage.tolist(), found.named.tolist()
    offered = [Offered(rows[at], scores[at], coverage[at], named[at]) for at in reached]
    rest = sorted(set(range(len(rows))).difference(reached))
    return Shortlist(offered, [ordinals[at] for at in rest], [scores[at] for at in rest])

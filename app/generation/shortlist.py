"""What one shard offers for one question: the nearest, what has its names, and their words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.generation.manifest_parts import Rescoring
from app.generation.merge import within_reach
from app.generation.passing import Passing
from app.generation.shard_index import ShardIndex
from app.generation.shard_words import ShardWords
from app.generation.terms import Unpacked
from app.generation.withdrawn_rows import VisibleIndex


class Offered(NamedTuple):
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
    """All candidates of one shard, best score first: (m,) each; positions of those with a name."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    coverage: NDArray[np.float64]
    named: list[int]


def candidates(
    index: ShardIndex | VisibleIndex,
    words: ShardWords,
    query: NDArray[np.float32],
    terms: Unpacked,
    k: int,
    wanted: int,
    passing: Passing | None = None,
) -> Candidates:
    """The ``k`` nearest of a question (1, dim), and whatever has one of its names.

    Args:
        index: of the shard.
        words: of the shard.
        query: the question's vector.
        terms: its words.
        k: how many.
        wanted: as of ``ShardIndex.search``.
        passing: the rows that may be found; all by default.
    """
    hits = index.search(query, k, wanted, passing)
    real = hits.rows[0] >= 0
    rows, scores = hits.rows[0][real], hits.scores[0][real]
    having = words.named(terms.names, index.hidden) if terms.names else rows[:0]
    if passing is not None and len(having):
        having = having[passing.holds(having)]
    if len(having):
        places, known = words.ordinals(having), words.ordinals(rows)
        more = having[~np.isin(places, known)]
        more_scores = index.scores(query[0], more)
        order = np.lexsort((more, -more_scores))
        # Of a document with several rows the best.
        order = order[np.sort(np.unique(words.ordinals(more[order]), return_index=True)[1])]
        rows = np.concatenate([rows, more[order]])
        scores = np.concatenate([scores, more_scores[order]])
        named = np.flatnonzero(np.isin(words.ordinals(rows), places)).tolist()
    else:
        named = []
    coverage = words.coverage(rows, terms.buckets, terms.weights)
    return Candidates(rows, scores.astype(np.float64), coverage, named)


def shortlist(
    found: Candidates, words: ShardWords, k: int, rescoring: Rescoring, *, alone: bool
) -> Shortlist:
    """Which candidates a gateway needs, ``k`` documents wanted in the end.

    Of a shard that is asked ``alone`` it needs the answer and, for the confidence, the lowest of
    the best by score.
    """
    keys = found.scores + rescoring.weight * found.coverage
    places = words.ordinals(found.rows)
    if alone and k <= rescoring.depth:
        order = np.lexsort((places, -keys))[:k].tolist()
        last = min(rescoring.depth, len(keys)) - 1
        return _of(found, sorted(order), [last] if last >= 0 else [], places)
    reached = within_reach(keys.tolist(), places.tolist(), found.named, k)
    return _of(found, reached, sorted(set(range(len(keys))).difference(reached)), places)


def _of(
    found: Candidates, reached: list[int], rest: list[int], ordinals: NDArray[np.int64]
) -> Shortlist:
    rows, scores = found.rows.tolist(), found.scores.tolist()
    coverage, named = found.coverage.tolist(), set(found.named)
    offered = [Offered(rows[at], scores[at], coverage[at], at in named) for at in reached]
    return Shortlist(offered, ordinals[rest].tolist(), [scores[at] for at in rest])

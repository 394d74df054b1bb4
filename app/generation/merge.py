"""Merge the shards' candidates into one ranking. Pure functions.

In plain Python: for the few dozen candidates of a question that costs a third of what numpy does.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from app.generation.manifest_parts import Rescoring

# So many candidates, and numpy is faster.
MANY = 200


def merge(ordinals: Sequence[int], scores: Sequence[float], k: int) -> list[int]:
    """Rank candidates by score (higher first), then ordinal; a document counts once, by its best.

    Args:
        ordinals: the documents' places in the corpus; a copy has the original's.
        scores: inner products, as many; a document's rows may differ (its question, its answer).
        k: how many to keep.

    Returns: positions of the winners in the input, at most ``k``, best first.
    """
    kept: list[int] = []
    seen: set[int] = set()
    for at in _by_score(ordinals, scores):
        if ordinals[at] not in seen:
            seen.add(ordinals[at])
            kept.append(at)
            if len(kept) == k:
                break
    return kept


def _by_score(ordinals: Sequence[int], scores: Sequence[float]) -> list[int]:
    """All positions, best score first; equal ones by ordinal."""
    if len(ordinals) < MANY:
        return sorted(range(len(ordinals)), key=lambda at: (-scores[at], ordinals[at]))
    order: list[int] = np.lexsort((np.asarray(ordinals), -np.asarray(scores))).tolist()
    return order


@dataclass(frozen=True, slots=True)
class Pool:
    """The candidates of one question, of all shards asked.

    Attributes:
        ordinals: the documents' places in the corpus; a copy has the original's.
        scores: inner products, as many; of a document's rows the best counts.
        coverage: how much of the question a candidate has, as many; those at the end may lack
            theirs where they cannot be among the best (``within_reach``).
        named: positions of those that are ordered with the best, however low their score is.
        least: the lowest score among the best by score, where the only shard asked has told it.
    """

    ordinals: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    coverage: list[float] = field(default_factory=list)
    named: list[int] = field(default_factory=list)
    least: float | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best of a pool.

    Attributes:
        positions: in the pool, best first.
        margin: how much better the first's key is than the second's; 0 without a second.
        least: the lowest score among the best by score.
    """

    positions: list[int]
    margin: float
    least: float


def merge_rescored(pool: Pool, k: int, rescoring: Rescoring) -> Ranking:
    """Like ``merge``; the best by score are then ordered again by score and coverage.

    Which are the best by score is decided over all shards. So the ranking does not depend on how
    many there are.

    Args:
        pool: the candidates.
        k: how many to keep.
        rescoring: weight of coverage, and how many are the best by score.
    """
    ordinals, scores, coverage = pool.ordinals, pool.scores, pool.coverage
    best = merge(ordinals, scores, max(k, rescoring.depth))
    head = [at for at in best[: rescoring.depth] if at < len(coverage)]
    tail = best[rescoring.depth :]
    least = pool.least
    if least is None:
        least = scores[best[: rescoring.depth][-1]] if best else 0.0
    if pool.named:
        known = {ordinals[at] for at in head}
        # Rows of one document may be in several shards: the best counts.
        for at in sorted(pool.named, key=lambda at: -scores[at]):
            if ordinals[at] not in known:
                known.add(ordinals[at])
                head.append(at)
        tail = [at for at in tail if ordinals[at] not in known]
    weight = rescoring.weight
    keys = {at: scores[at] + weight * coverage[at] for at in head}
    head.sort(key=lambda at: (-keys[at], ordinals[at]))
    margin = keys[head[0]] - keys[head[1]] if len(head) > 1 else 0.0
    return Ranking((head + tail)[:k], margin, least)


def within_reach(
    keys: Sequence[float], ordinals: Sequence[int], named: Sequence[int], k: int
) -> list[int]:
    """The candidates of one shard that can be among the ``k`` best of all shards.

    Those that have a name of the question are ordered with the best in any case. The best by score
    over all shards are, of this shard, some first ones. So a candidate can be among the ``k`` best
    of those only if fewer than ``k`` have a better key: of those with a name, and of the candidates
    before it.

    Args:
        keys: score + weight * coverage of each, in the order of their scores, best first.
        ordinals: of each; the lower is better where keys are equal.
        named: positions of those that have a name of the question.
        k: how many are wanted.

    Returns: their positions, ascending.
    """
    reached: list[int] = []
    best: list[tuple[float, int]] = []
    order = sorted(named, key=lambda at: (-keys[at], ordinals[at]))
    order += sorted(set(range(len(keys))).difference(named)) if named else range(len(keys))
    for at in order:
        candidate = keys[at], -ordinals[at]
        if len(best) < k:
            heapq.heappush(best, candidate)
        elif candidate > best[0]:
            heapq.heapreplace(best, candidate)
        else:
            continue
        reached.append(at)
    return sorted(reached)

"""Merge the shards' candidates into one ranking. Pure functions, in plain Python.

For the few dozen candidates of a question that costs a third of what numpy does.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from app.generation.manifest import Rescoring


def merge(ordinals: Sequence[int], scores: Sequence[float], k: int) -> list[int]:
    """Rank candidates by score (higher first), then ordinal; border copies count once.

    Args:
        ordinals: the documents' places in the corpus; a copy has the original's.
        scores: inner products, as many; copies of a document have equal scores.
        k: how many to keep.

    Returns: positions of the winners in the input, at most ``k``, best first.
    """
    kept: list[int] = []
    seen: set[int] = set()
    for at in sorted(range(len(ordinals)), key=lambda at: (-scores[at], ordinals[at])):
        if ordinals[at] not in seen:
            seen.add(ordinals[at])
            kept.append(at)
            if len(kept) == k:
                break
    return kept


def merge_rescored(
    ordinals: Sequence[int],
    scores: Sequence[float],
    coverage: Sequence[float],
    named: Sequence[int],
    k: int,
    rescoring: Rescoring,
) -> list[int]:
    """Like ``merge``; the best by score are then ordered again by score and coverage.

    Which are the best by score is decided over all shards. So the ranking does not depend on how
    many there are.

    Args:
        ordinals: as of ``merge``.
        scores: as of ``merge``.
        coverage: how much of the question a candidate has, as many; those at the end may lack
            theirs where they cannot be among the ``k`` best (``within_reach``).
        named: positions of those that are ordered with the best, however low their score is.
        k: how many to keep.
        rescoring: weight of coverage, and how many are the best by score.
    """
    best = merge(ordinals, scores, max(k, rescoring.depth))
    head = [at for at in best[: rescoring.depth] if at < len(coverage)]
    tail = best[rescoring.depth :]
    if named:
        known = {ordinals[at] for at in head}
        for at in named:
            if ordinals[at] not in known:
                known.add(ordinals[at])
                head.append(at)
        tail = [at for at in tail if ordinals[at] not in known]
    weight = rescoring.weight
    head.sort(key=lambda at: (-(scores[at] + weight * coverage[at]), ordinals[at]))
    return (head + tail)[:k]


def within_reach(keys: Sequence[float], ordinals: Sequence[int], k: int) -> list[int]:
    """The candidates of one shard that can be among the ``k`` best of all shards.

    The best by score over all shards are, of this shard, some first ones. A candidate can be among
    the ``k`` best of those only if fewer than ``k`` of the candidates before it have a better key.

    Args:
        keys: score + weight * coverage of each, in the order of their scores, best first.
        ordinals: of each; the lower is better where keys are equal.
        k: how many are wanted.

    Returns: their positions, ascending.
    """
    reached: list[int] = []
    best: list[tuple[float, int]] = []
    for at, candidate in enumerate(zip(keys, map(int.__neg__, ordinals), strict=True)):
        if len(best) < k:
            heapq.heappush(best, candidate)
        elif candidate > best[0]:
            heapq.heapreplace(best, candidate)
        else:
            continue
        reached.append(at)
    return reached

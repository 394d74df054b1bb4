"""Whether a gateway that was switched serves users worse than those that were not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from index_builder.watch.counts import buckets

# Of a sound generation, at most so many watches of one figure raise a false alarm, all looks at it
# together.
ALPHA = 1e-4
# Below so many on either side nothing is judged.
LEAST = 50


class Share(NamedTuple):
    """A share that must not grow: of what, by how much at least it matters, and its name."""

    part: str
    whole: str
    matters: float
    name: str


SHARES = (
    Share("failed", "requests", 0.005, "requests that failed (5xx)"),
    Share("partial", "questions", 0.005, "questions answered without a shard"),
    Share("unanswered", "questions", 0.02, "questions without a match"),
    Share("answerless", "questions", 0.05, "questions whose first result has no answer"),
)
# The chance that a request is slower than one on the others, ties by half: 0.5 where nothing
# differs. And the mean must be so many times as long, set against what it was before.
SLOWER, LONGER = 0.6, 1.5
# How much lower the mean score of the first result may be.
LOWER = 0.03


def worse(
    flipped: Mapping[str, float],
    others: Mapping[str, float],
    before: tuple[Mapping[str, float], Mapping[str, float]],
    looks: int,
) -> list[str]:
    """Say what is worse on the gateway that was switched; empty where nothing is.

    Args:
        flipped: what it has counted since.
        others: the same of those that were not.
        before: what both had counted before; hosts differ, and so do their times.
        looks: how often this is asked of one watch: each look may err so much less.
    """
    alpha = ALPHA / max(looks, 1)
    return [
        *_shares(flipped, others, alpha),
        *_seconds(flipped, others, before, alpha),
        *_scores(flipped, others, alpha),
    ]


def _shares(
    flipped: Mapping[str, float], others: Mapping[str, float], alpha: float
) -> Iterator[str]:
    for share in SHARES:
        own, all_own = (int(flipped.get(one, 0)) for one in (share.part, share.whole))
        theirs, all_theirs = (int(others.get(one, 0)) for one in (share.part, share.whole))
        if min(all_own, all_theirs) < LEAST:
            continue
        if own / all_own - theirs / all_theirs < share.matters:
            continue
        chance = fisher(own, all_own, theirs, all_theirs)
        if chance < alpha:
            yield (
                f"{share.name}: {own:,} of {all_own:,} ({100 * own / all_own:.1f} %), on the "
                f"others {theirs:,} of {all_theirs:,} ({100 * theirs / all_theirs:.1f} %); "
                f"p = {chance:.1g}"
            )


def _seconds(
    flipped: Mapping[str, float],
    others: Mapping[str, float],
    before: tuple[Mapping[str, float], Mapping[str, float]],
    alpha: float,
) -> Iterator[str]:
    own, theirs = (mean(counts, "seconds") for counts in (flipped, others))
    if own is None or theirs is None or not theirs:
        return
    was = [mean(counts, "seconds") for counts in before]
    usual = max(was[0] / was[1], 1.0) if was[0] and was[1] else 1.0
    chance, slower = rank_sum(buckets(flipped, "seconds"), buckets(others, "seconds"))
    if own / theirs >= LONGER * usual and slower >= SLOWER and chance < alpha:
        yield (
            f"time to answer: {own * 1e3:.1f} ms on average, on the others {theirs * 1e3:.1f} ms; "
            f"p = {chance:.1g}"
        )


def _scores(
    flipped: Mapping[str, float], others: Mapping[str, float], alpha: float
) -> Iterator[str]:
    own, theirs = (mean(counts, "score") for counts in (flipped, others))
    if own is None or theirs is None or theirs - own < LOWER:
        return
    chance, _ = rank_sum(buckets(others, "score"), buckets(flipped, "score"))
    if chance < alpha:
        yield f"score of the first result: {own:.3f}, on the others {theirs:.3f}; p = {chance:.1g}"


def mean(counts: Mapping[str, float], name: str) -> float | None:
    """The mean of a histogram; None where too few were counted."""
    count = counts.get(f"{name} count", 0.0)
    return counts[f"{name} sum"] / count if count >= LEAST else None


def fisher(own: int, all_own: int, theirs: int, all_theirs: int) -> float:
    """Fisher's exact test, one-sided: the chance of so many or more among ``all_own`` by luck."""
    hits, total = own + theirs, all_own + all_theirs
    whole = _log_choose(total, hits)
    terms = (
        math.exp(_log_choose(all_own, k) + _log_choose(all_theirs, hits - k) - whole)
        for k in range(own, min(all_own, hits) + 1)
    )
    return min(math.fsum(terms), 1.0)


def _log_choose(n: int, k: int) -> float:
    if k < 0 or k > n:
        return -math.inf
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def rank_sum(high: Sequence[float], low: Sequence[float]) -> tuple[float, float]:
    """Mann and Whitney's test over buckets, one-sided, corrected for ties.

    Args:
        high: how many values of the side that is suspected to be higher fell into each bucket.
        low: the same of the other side.

    Returns:
        The chance of such a difference by luck, and that a value of ``high`` is above one of
        ``low``, ties by half.
    """
    m, n = sum(high), sum(low)
    if not m or not n:
        return 1.0, 0.5
    below = above = ties = 0.0
    for own, other in zip(high, low, strict=True):
        above += own * (below + other / 2)
        below += other
        ties += (own + other) ** 3 - (own + other)
    total = m + n
    spread = m * n / 12 * (total + 1 - ties / (total * (total - 1)))
    if spread <= 0:
        return 1.0, 0.5
    z = (above - m * n / 2 - 0.5) / math.sqrt(spread)
    return 0.5 * math.erfc(z / math.sqrt(2)), above / (m * n)

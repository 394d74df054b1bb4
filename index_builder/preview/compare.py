"""How two rankings of one question differ."""

from __future__ import annotations

from collections.abc import Sequence

# How much the first places weigh in rank-biased overlap: at 0.9 the first ten have 86 % of it
# (Webber, Moffat and Zobel, "A similarity measure for indefinite rankings", TOIS 2010).
PERSISTENCE = 0.9


def overlap(before: Sequence[str], after: Sequence[str]) -> float:
    """The part of two lists that both have, 0 to 1; two empty lists are the same."""
    longest = max(len(before), len(after))
    return len(set(before) & set(after)) / longest if longest else 1.0


def rank_biased_overlap(
    before: Sequence[str], after: Sequence[str], persistence: float = PERSISTENCE
) -> float:
    """How alike two rankings are, 0 to 1: the first places weigh most.

    The extrapolated form (the paper's equation 32), which takes lists of different lengths and
    assumes that what follows agrees as what was seen. Neither list has an id twice.
    """
    short, long = sorted((before, after), key=len)
    if not short:
        return float(not long)
    shared, seen_short, seen_long = 0, set[str](), set[str]()
    total, at_short = 0.0, 0
    for depth, item in enumerate(long, 1):
        seen_long.add(item)
        if depth <= len(short):
            other = short[depth - 1]
            seen_short.add(other)
            shared += other in seen_long
            shared += item in seen_short and item != other
            at_short = shared
        else:
            shared += item in seen_short
            extra = at_short * (depth - len(short)) / (len(short) * depth)
            total += extra * persistence**depth
        total += shared / depth * persistence**depth
    rest = (shared - at_short) / len(long) + at_short / len(short)
    return (1 - persistence) / persistence * total + rest * persistence ** len(long)

"""Canaries: questions with the answers that this generation must give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

import msgspec

from app.errors import GenerationError

NAME = "canaries.jsonl"
# Scores may differ by this much between processors; nearer than this, two answers may swap.
TOLERANCE = 1e-3
SHOWN = 3


class Canary(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A question, and the ids and scores (inner products) of its answers, best first.

    ``lexical`` is the coverage of each answer, where words order them too; none where the question
    is to be answered by score alone. ``filter`` is what the answers must pass
    (``filters.filter_text``); "" for all.
    """

    question: str
    ids: tuple[str, ...]
    scores: tuple[float, ...]
    lexical: tuple[float, ...] = ()
    filter: str = ""

    def keys(self, weight: float) -> list[float]:
        """What the answers are ordered by; ``weight`` is that of coverage."""
        return keys(self.scores, self.lexical, weight)


def keys(scores: Sequence[float], lexical: Sequence[float | None], weight: float) -> list[float]:
    """What answers are ordered by: score, and coverage where there is one."""
    padded = zip_longest(scores, lexical)
    return [score + weight * (coverage or 0.0) for score, coverage in padded]


def write(path: Path, canaries: Iterable[Canary]) -> None:
    """Write one canary a line."""
    with path.open("wb") as file:
        for canary in canaries:
            file.write(msgspec.json.encode(canary) + b"\n")


def read(path: Path) -> list[Canary]:
    """Read them back; raises GenerationError naming the line."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise GenerationError(f"{path}: {error.strerror}") from error
    canaries = []
    for number, line in enumerate(lines, 1):
        try:
            one = msgspec.json.decode(line, type=Canary)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise GenerationError(f"{path}:{number}: not a canary: {error}") from error
        if len(one.ids) != len(one.scores) or len(one.lexical) not in (0, len(one.ids)):
            raise GenerationError(f"{path}:{number}: not a canary: not as many ids as scores")
        canaries.append(one)
    if not canaries:
        raise GenerationError(f"{path} holds no canary")
    return canaries


def difference(
    canary: Canary,
    ids: Sequence[str],
    got: Sequence[float],
    weight: float = 0.0,
    withdrawn: frozenset[str] = frozenset(),
) -> str | None:
    """How an answer differs from what it must be, in words; None when it does not.

    Every answer must have its own key (score, or score and words), within the tolerance. So answers
    of nearly equal keys may stand in any order; at the end of the list one may replace another.

    Args:
        canary: what must be answered.
        ids: of the answer, best first.
        got: what it is ordered by (``keys``).
        weight: of coverage.
        withdrawn: documents of the generation that nobody may answer with, and any that it does not
            have; the fewer, the more is seen (``_difference_without``).
    """
    found = _difference(canary, ids, got, weight)
    # By score alone, what is withdrawn changes no answer that it is not in.
    untouched = not canary.lexical and withdrawn.isdisjoint(canary.ids)
    if found is None or not withdrawn or untouched:
        return found
    return _difference_without(withdrawn, canary, ids, got, weight)


def _difference(
    canary: Canary, ids: Sequence[str], got: Sequence[float], weight: float
) -> str | None:
    """``difference`` where nothing is withdrawn."""
    if len(ids) != len(canary.ids):
        return f"{len(ids)} answers instead of {len(canary.ids)}"
    wanted = canary.keys(weight)
    for place, (key, expected) in enumerate(zip(got, wanted, strict=True), 1):
        if not abs(key - expected) <= TOLERANCE:  # so that NaN differs
            return f"score {key:.4f} instead of {expected:.4f} at place {place}"
    if not wanted:
        return None
    last = wanted[-1]
    key_of = dict(zip(ids, got, strict=True))
    for expected_id, expected in zip(canary.ids, wanted, strict=True):
        found = key_of.get(expected_id)
        if found is None:
            if expected > last + TOLERANCE:
                return f"{expected_id!r} is missing"
        elif abs(found - expected) > TOLERANCE:
            return f"{expected_id!r} has score {found:.4f} instead of {expected:.4f}"
    return None


def _difference_without(
    withdrawn: frozenset[str],
    canary: Canary,
    ids: Sequence[str],
    got: Sequence[float],
    weight: float,
) -> str | None:
    """``difference``, but for withdrawn documents: they count neither here nor there.

    What may have come in their place is bounded. Let H be the best by score of all shards asked, as
    many as words order (at most ``depth``), N what has a name of the question, and A the canary's
    answer: the best by key of H and N. Without the withdrawn documents W

    - each shard has what it had, and after that one more for each row of W that it had
      (``withdrawn_rows.VisibleIndex``). So H keeps all of its own but W, and at most as many as it
      has lost join it, S: one each, whatever the number of shards that store a document;
    - N loses its share of W, and nothing joins it.

    Whatever was in H or N, and not in A, has a key no better than the last of A. So all strangers
    with a better key are of S, and no more than there are documents in W. Where a canary is asked
    by score alone, S comes after the last of A: there are none.

    An answer that is missing has been beaten by a whole list of others: what is left of H and N is
    still ordered.
    """
    if len(ids) > len(canary.ids):
        return f"{len(ids)} answers instead of {len(canary.ids)}"
    expected_keys = canary.keys(weight)
    keys_of = {name: key for name, key in zip(ids, got, strict=True) if name not in withdrawn}
    least = min(expected_keys) + TOLERANCE
    strangers = [name for name in keys_of.keys() - set(canary.ids) if not keys_of[name] <= least]
    bound = len(withdrawn) if canary.lexical else 0
    if len(strangers) > bound:
        named = ", ".join(repr(name) for name in sorted(strangers)[:SHOWN])
        return f"{len(strangers)} better answers that must not be there ({named}), {bound} may"
    beaten = min(keys_of.values(), default=0.0) if len(ids) == len(canary.ids) else -float("inf")
    for name, expected in zip(canary.ids, expected_keys, strict=True):
        if name in withdrawn:
            continue
        found = keys_of.get(name)
        if found is None:
            if not beaten >= expected - TOLERANCE:  # so that NaN differs
                return f"{name!r} is missing"
        elif not abs(found - expected) <= TOLERANCE:
            return f"{name!r} has score {found:.4f} instead of {expected:.4f}"
    return None

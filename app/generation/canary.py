"""Canaries: questions with the answers that this generation must give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from app.errors import GenerationError

NAME = "canaries.jsonl"
# Scores may differ by this much between processors; nearer than this, two answers may swap.
TOLERANCE = 1e-3


class Canary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question, and the ids and scores (inner products) of its answers, best first."""

    question: str
    ids: tuple[str, ...]
    scores: tuple[float, ...]


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
        if len(one.ids) != len(one.scores):
            raise GenerationError(f"{path}:{number}: not a canary: not as many ids as scores")
        canaries.append(one)
    if not canaries:
        raise GenerationError(f"{path} holds no canary")
    return canaries


def difference(canary: Canary, ids: Sequence[str], scores: Sequence[float]) -> str | None:
    """How an answer differs from what it must be, in words; None when it does not.

    Every answer must have its own score, within the tolerance. So answers of nearly equal scores
    may stand in any order; at the end of the list one may replace another.
    """
    if len(ids) != len(canary.ids):
        return f"{len(ids)} answers instead of {len(canary.ids)}"
    for place, (got, expected) in enumerate(zip(scores, canary.scores, strict=True), 1):
        if not abs(got - expected) <= TOLERANCE:  # so that NaN differs
            return f"score {got:.4f} instead of {expected:.4f} at place {place}"
    if not canary.scores:
        return None
    last = canary.scores[-1]
    score_of = dict(zip(ids, scores, strict=True))
    for expected_id, expected in zip(canary.ids, canary.scores, strict=True):
        score = score_of.get(expected_id)
        if score is None:
            if expected > last + TOLERANCE:
                return f"{expected_id!r} is missing"
        elif abs(score - expected) > TOLERANCE:
            return f"{expected_id!r} has score {score:.4f} instead of {expected:.4f}"
    return None

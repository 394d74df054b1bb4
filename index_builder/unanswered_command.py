"""``python -m index_builder unanswered``: what users asked without an answer, by likeness."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.errors import CorpusError
from app.generation.engine import open_engine

# Cosine from which questions ask for the same, mostly: of pairs at least so near, labels call alike
# 71 % on Quora, 88 % on BANKING77, 96 % on CLINC150, 99.6 % on StackFAQ (docs/decisions/0052).
ALIKE = 0.8
SHOWN = 20
OTHERS = 3


class Group(msgspec.Struct, frozen=True):
    """Questions that are alike: the commonest text, how often any of them was asked, the texts."""

    text: str
    asked: int
    texts: list[str]


def add_unanswered(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "unanswered",
        help="questions without an answer -> groups of like ones, most frequent first",
        description="Reads questions, one a line, repeated as often as they were asked, and groups "
        "those that are alike. The first groups are what to write an answer for.",
    )
    parser.add_argument("questions", type=Path, metavar="FILE")
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="the model; without it only equal texts are alike"
    )
    parser.add_argument("--seen", type=int, metavar="N", help="how many the lines are a sample of")
    parser.add_argument("--json", action="store_true", help="all groups, as JSON")
    parser.set_defaults(run=_run)


def grouped(texts: Sequence[str], model: Path | None) -> list[Group]:
    """Groups of like texts, most frequent first.

    The commonest text leads a group, and takes those that are like it; the commonest of the rest
    leads the next. Without a model only equal texts, but for capitals, are alike.
    """
    counts = Counter(texts)
    ordered = sorted(counts, key=lambda text: (-counts[text], text))
    if not ordered:
        return []
    leaders = _like(open_engine(model).encode(ordered)) if model else _equal(ordered)
    members: dict[int, list[str]] = {}
    for text, leader in zip(ordered, leaders, strict=True):
        members.setdefault(leader, []).append(text)
    groups = [Group(own[0], sum(counts[one] for one in own), own) for own in members.values()]
    return sorted(groups, key=lambda group: (-group.asked, group.text))


def _like(vectors: NDArray[np.float32]) -> list[int]:
    """For each row (n, dim) of unit vectors the place of its leader, which comes before it."""
    leader = np.full(len(vectors), -1)
    for place in range(len(vectors)):
        if leader[place] < 0:
            near = vectors[place:] @ vectors[place] >= ALIKE
            free = leader[place:] < 0
            leader[place:][near & free] = place
            leader[place] = place
    return [int(one) for one in leader]


def _equal(texts: Sequence[str]) -> list[int]:
    first: dict[str, int] = {}
    return [first.setdefault(text.casefold(), place) for place, text in enumerate(texts)]


def _run(arguments: argparse.Namespace) -> int:
    try:
        lines = arguments.questions.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{arguments.questions}: cannot be read: {error}") from error
    texts = [line for line in lines if line.strip()]
    groups = grouped(texts, arguments.model)
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(groups), indent=1).decode())
        return 0
    seen = max(arguments.seen or 0, len(texts))
    print(f"{seen:,} questions without an answer, {len(groups):,} kinds among {len(texts):,} kept")
    for group in groups[:SHOWN]:
        about = round(group.asked / len(texts) * seen)
        print(f"{100 * group.asked / len(texts):>5.1f} % {about:>8,}  {group.text}")
        for other in group.texts[1 : 1 + OTHERS]:
            print(f"{'':<18}{other}")
        if (more := len(group.texts) - 1 - OTHERS) > 0:
            print(f"{'':<18}and {more:,} more like it")
    if (rest := len(groups) - SHOWN) > 0:
        print(f"and {rest:,} kinds more: --json has all")
    return 0

"""``python -m index_builder unanswered``: what users asked without an answer, by likeness."""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
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


class Part(msgspec.Struct, frozen=True):
    """A sample of ``seen`` questions, as a process of a gateway tells it, each with the nearest."""

    seen: int
    texts: list[str]
    nearest: list[str] = []


class Group(msgspec.Struct, frozen=True):
    """Questions that are alike, the commonest first; how often they were asked, about.

    ``nearest`` is the text of the document nearest to the commonest, "" without any.
    """

    text: str
    asked: float
    share: float
    nearest: str
    texts: list[str]


def add_unanswered(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "unanswered",
        help="questions without an answer -> groups of like ones, most frequent first",
        description="Reads samples of questions, and groups those that are alike. The first groups "
        "are what to write an answer for.",
    )
    parser.add_argument(
        "samples",
        type=Path,
        metavar="FILE",
        help='JSON: a list of the "unanswered" of what `askfleet recorded` prints on each gateway',
    )
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="the model; without it only equal texts are alike"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="gets all groups, as JSON")
    parser.add_argument("--json", action="store_true", help="print all groups, as JSON")
    parser.set_defaults(run=_run)


def grouped(parts: Sequence[Part], model: Path | None) -> list[Group]:
    """Groups of like texts, most frequent first.

    A kept text stands for as many questions as its sample is of, divided by those it keeps: one of
    a busy process counts more than one of a process that has just started. The commonest text leads
    a group, and takes those that are like it; the commonest of the rest leads the next. Without a
    model only equal texts, but for capitals, are alike.
    """
    asked: dict[str, float] = defaultdict(float)
    nearest: dict[str, str] = {}
    for part in parts:
        for text in part.texts:
            asked[text] += max(part.seen / len(part.texts), 1.0)
        nearest.update(zip(part.texts, part.nearest, strict=False))
    ordered = sorted(asked, key=lambda text: (-asked[text], text))
    if not ordered:
        return []
    leaders = _like(open_engine(model).encode(ordered)) if model else _equal(ordered)
    return _groups(ordered, leaders, asked, nearest)


def _groups(
    ordered: Sequence[str],
    leaders: Sequence[int],
    asked: Mapping[str, float],
    nearest: Mapping[str, str],
) -> list[Group]:
    members: dict[int, list[str]] = {}
    for text, leader in zip(ordered, leaders, strict=True):
        members.setdefault(leader, []).append(text)
    whole = sum(asked.values())
    groups = []
    for own in members.values():
        times = sum(asked[one] for one in own)
        groups.append(Group(own[0], times, times / whole, nearest.get(own[0], ""), own))
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
        parts = msgspec.json.decode(arguments.samples.read_bytes(), type=list[Part])
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise CorpusError(f"{arguments.samples}: cannot be read: {error}") from error
    groups = grouped(parts, arguments.model)
    told = msgspec.json.format(msgspec.json.encode(groups), indent=1)
    if arguments.out is not None:
        _write(arguments.out, told)
    if arguments.json:
        print(told.decode())
        return 0
    seen = sum(part.seen for part in parts)
    kept = sum(len(part.texts) for part in parts)
    print(f"{seen:,} questions without an answer, {len(groups):,} kinds among {kept:,} kept")
    for group in groups[:SHOWN]:
        print(f"{group.share:>6.1%} {round(group.asked):>8,}  {group.text}")
        for other in group.texts[1 : 1 + OTHERS]:
            print(f"{'':<17}{other}")
        if (more := len(group.texts) - 1 - OTHERS) > 0:
            print(f"{'':<17}and {more:,} more like it")
        if group.nearest:
            print(f"{'':<17}nearest known: {group.nearest}")
    if (rest := len(groups) - SHOWN) > 0:
        print(f"and {rest:,} kinds more: --json has all")
    return 0


def _write(path: Path, content: bytes) -> None:
    """Questions of users: for the owner of the file alone, whoever had made it."""
    try:
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
    except OSError as error:
        raise CorpusError(f"{path}: cannot be written: {error}") from error

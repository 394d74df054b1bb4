"""How sure answers are: what a bound for a precision of 0.9 gives on questions held out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from app.generation.engine import Engine
from index_builder.inputs import Inputs
from index_builder.labelled import Labelled
from index_builder.labels import Label
from index_builder.pipeline import build
from index_builder.progress import Progress
from index_builder.replay import Replay
from index_builder.settings import Settings
from index_builder.workers import open_workers

LABELS = 200
DRAWS = 5
PRECISION = 0.9
# Of questions that nothing answers, the part that is labelled: as in a log of real questions.
NOTHING = 0.2
HEAD = (
    f"{'confidence, 200 labels':<28}{'draw':>5}{'held out':>10}{'no answer':>11}"
    f"{'bound':>8}{'precision':>11}{'answered':>10}"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and the ids of its right documents: none where nothing answers it."""

    question: str
    right: frozenset[str]


def held_out_rows(
    name: str,
    labelled: Labelled,
    nothing: Sequence[str],
    inputs: Inputs,
    settings: Settings,
    out: Path,
    engine: Engine,
) -> Iterator[str]:
    """Build with 200 labels, ask the rest; one row for each choice of the 200.

    Where ``nothing`` has no questions without an answer, half of the right documents of those held
    out are withdrawn.
    """
    fitting = [Asked(*one) for one in zip(labelled.questions, labelled.relevant, strict=True)]
    lost = [Asked(question, frozenset()) for question in nothing]
    for draw in range(1, DRAWS + 1):
        rng = np.random.default_rng(draw)
        fitting = [fitting[at] for at in rng.permutation(len(fitting))]
        lost = [lost[at] for at in rng.permutation(len(lost))]
        own = round(NOTHING * len(lost))
        chosen, asked = fitting[: LABELS - own] + lost[:own], fitting[LABELS - own :]
        labels = out / f"labels-{name.replace('/', '-')}-{draw}.jsonl"
        labels.write_bytes(b"\n".join(map(msgspec.json.encode, _labels(chosen))))
        with open_workers(2) as workers:
            manifest, _ = build(
                replace(inputs, labelled=labels), settings, out, out / ".work", workers, Progress()
            )
        replay = Replay(out / manifest.id)
        if lost:
            asked = asked + lost[own:]
        else:
            documents = sorted(frozenset().union(*(one.right for one in asked)))
            taken = frozenset(rng.permutation(documents)[::2].tolist())
            replay.withdraw(taken)
            asked = [Asked(one.question, one.right - taken) for one in asked]
        texts = [one.question for one in asked]
        found = replay.search(engine.encode(texts), 1, "auto", texts)
        confidence = manifest.routing.confidence
        assert confidence is not None  # it was built with labels
        bound = next(row.min_confidence for row in confidence.table if row.precision == PRECISION)
        passed = right = 0
        for one, ids, sure in zip(asked, found.ids, found.confidence, strict=True):
            if sure is not None and sure >= bound:
                passed += 1
                right += ids[0] in one.right
        answerable = sum(bool(one.right) for one in asked)
        yield (
            f"{name:<28}{draw:>5}{len(asked):>10,}{len(asked) - answerable:>11,}{bound:>8.2f}"
            f"{right / max(passed, 1):>11.3f}{right / answerable:>10.3f}"
        )


def _labels(asked: Iterable[Asked]) -> Iterator[Label]:
    for one in asked:
        if not one.right:
            yield Label(one.question, "", same=False)
        for name in sorted(one.right):
            yield Label(one.question, name, same=True)


def tells(labelled: Labelled, nothing: Sequence[str]) -> bool:
    """Whether a set is large enough, and its questions have few enough right documents to take."""
    if len(labelled.questions) < 2.5 * LABELS:
        return False
    return bool(nothing) or sum(map(len, labelled.relevant)) < 5 * len(labelled.relevant)

"""``python -m index_builder label``: a person says whether first results mean the same."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from app.errors import CorpusError
from app.generation.engine import open_engine
from app.generation.model import Model
from app.generation.rows import Row
from index_builder.corpus.bad_lines import Fault
from index_builder.corpus.readers import read_file
from index_builder.labels import LEAST, Label, read_labels
from index_builder.replay import Replay

HELP = "y: it means the same, n: it does not, s: skip, q: stop (answers are kept)"
BATCH = 64


def add_label(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "label",
        help="say whether first results mean the same as the questions: labels for build --labels",
        description="Sample questions, show what a generation answers first, and ask whether it "
        "means the same. Each answer is appended at once; the same command goes on where it "
        "stopped. 200 take about an hour.",
    )
    parser.add_argument(
        "--questions",
        type=Path,
        required=True,
        metavar="FILE",
        help="real questions, in any format of a corpus",
    )
    parser.add_argument(
        "--generation", type=Path, required=True, metavar="DIR", help="a sealed generation"
    )
    parser.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="the model of the generation"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="where labels are appended"
    )
    parser.add_argument("--count", type=int, default=200, metavar="N", help="default 200")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    known = read_labels(arguments.out) if arguments.out.exists() else []
    replay = Replay(arguments.generation)
    engine = open_engine(arguments.model)
    fingerprint = Model.load(arguments.model).fingerprint
    made_by = replay.manifest.model.fingerprint
    if fingerprint != made_by:
        raise CorpusError(
            f"--model {arguments.model} is {fingerprint}, the generation was made by {made_by}: "
            "give that one"
        )
    labelled = {label.question for label in known}
    sampled = _sample(arguments.questions, arguments.count, arguments.seed)
    left = [question for question in sampled if question not in labelled]
    done = len(sampled) - len(left)
    print(HELP)
    with arguments.out.open("ab+") as out:
        _end_line(out)
        for number, (question, row) in enumerate(_answered(left, replay, engine), done + 1):
            print(f"\n{number} of {len(sampled)}\n  asked  {question}\n  found  {row.text}")
            if row.answer:
                print(f"         {row.answer}")
            same = _ask(sys.stdin)
            if same is None:
                break
            if same != "s":
                done += 1
                label = Label(question, row.id, same == "y")
                out.write(msgspec.json.encode(label) + b"\n")
                out.flush()
    total = len({label.question for label in read_labels(arguments.out)})
    more = f"; build --labels needs {LEAST - total} more" if total < LEAST else ""
    print(f"\n{total} questions are labelled in {arguments.out}{more}")
    return 0


def _end_line(out: IO[bytes]) -> None:
    """End the last line of a file that was edited, or whose disk was full."""
    if out.seek(0, os.SEEK_END):
        out.seek(-1, os.SEEK_END)
        if out.read(1) != b"\n":
            out.write(b"\n")


def _answered(questions: Sequence[str], replay: Replay, engine: Any) -> Iterator[tuple[str, Row]]:
    """Each question with the first result; those without any are passed over."""
    for start in range(0, len(questions), BATCH):
        some = questions[start : start + BATCH]
        found = replay.search(engine.encode(some, "query"), 1, "auto", some)
        for question, hits in zip(some, found.hits, strict=True):
            if hits:
                yield question, hits[0].row


def _ask(answers: IO[str]) -> str | None:
    """y, n or s; None to stop, or where input ends."""
    while True:
        print("  same?  [y/n/s/q] ", end="", flush=True)
        line = answers.readline()
        answer = line.strip().lower()[:1]
        if not line or answer == "q":
            return None
        if answer in {"y", "n", "s"}:
            return answer
        print(f"  {HELP}")


def _sample(path: Path, count: int, seed: int) -> list[str]:
    """So many different questions of a file, in an order that depends on the seed alone."""
    if count < 1:
        raise CorpusError(f"--count {count}: use at least 1")
    texts = dict.fromkeys(
        outcome.text for _, outcome in read_file(path) if not isinstance(outcome, Fault)
    )
    if not texts:
        raise CorpusError(f"{path} holds no question")
    every = list(texts)
    order = np.random.default_rng(seed).permutation(len(every))[:count]
    return [every[at] for at in order.tolist()]

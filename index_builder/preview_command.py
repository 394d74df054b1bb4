"""``python -m index_builder preview``: what `askfleet preview` printed, as figures and a page."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from app.errors import ConfigError, CorpusError
from app.wire.preview import Pair
from index_builder.preview.command import Judged, written
from index_builder.preview.wanted import Gates, Wanted

GATES = ("max_changed", "min_overlap", "max_hit_loss")


class Result(msgspec.Struct, frozen=True):
    """What ``--json`` prints."""

    good: bool
    faults: list[str]
    report: str


def add_preview(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "preview",
        help="what `askfleet preview` printed -> what changes for users, as a page",
        description="Compare the answers of two generations, as update_index.yml and preview.yml "
        "do. Ends with 0, with 1 where a gate failed, with 2 where the command is mistyped.",
    )
    parser.add_argument(
        "pairs",
        type=Path,
        metavar="PAIRS.jsonl",
        help="a line a question, with both answers",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="gets preview.html and preview.json"
    )
    parser.add_argument(
        "--names",
        nargs=2,
        default=("before", "after"),
        metavar=("BEFORE", "AFTER"),
        help="the two generations",
    )
    parser.add_argument("--qrels", type=Path, metavar="FILE", help="labels, as of `evaluate`")
    parser.add_argument(
        "--questions", type=Path, metavar="FILE", help="the questions with the ids that labels name"
    )
    parser.add_argument(
        "--field",
        action="append",
        default=[],
        metavar="NAME",
        dest="fields",
        help="show the figures by the values of this field, too; as often as needed",
    )
    for name in GATES:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=partial(_gate, name),
            metavar="PART",
            help=f"a number from 0 to 1, as askfleet_preview_{name}; without it only a figure",
        )
    parser.add_argument("--json", action="store_true", help="print the verdict as a line of JSON")
    parser.set_defaults(run=partial(_run, parser))


def _gate(name: str, text: str) -> float | None:
    try:
        return getattr(Gates.read({name: text}), name)  # type: ignore[no-any-return]  # by name
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    if bool(arguments.qrels) != bool(arguments.questions):
        parser.error("--qrels and --questions need each other: labels name questions by their ids")
    if arguments.max_hit_loss is not None and not arguments.qrels:
        parser.error("--max-hit-loss needs labels: add --qrels and --questions")
    pairs = read_pairs(arguments.pairs)
    files = [arguments.questions] if arguments.questions else []
    gates = {name: getattr(arguments, name) for name in GATES}
    wanted = Wanted.read(files, arguments.qrels, sys.maxsize, arguments.fields, gates)
    return _tell(written(wanted, pairs, arguments.names, arguments.out), arguments.json)


def read_pairs(path: Path) -> list[Pair]:
    """Read the lines of a preview; raises CorpusError naming the line at fault."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error
    pairs = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                pairs.append(msgspec.json.decode(line, type=Pair))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                told = f"not what `askfleet preview` prints: {error}"
                raise CorpusError(f"{path}:{number}: {told}") from error
    if not pairs:
        raise CorpusError(f"{path} holds no question with its answers")
    return pairs


def _tell(found: Judged, as_json: bool) -> int:
    if as_json:
        result = Result(not found.faults, found.faults, str(found.report))
        print(msgspec.json.encode(result).decode())
    else:
        for line in (*found.lines, *(f"failed: {fault}" for fault in found.faults)):
            print(line)
    return int(bool(found.faults))

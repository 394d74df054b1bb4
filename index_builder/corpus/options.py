"""The command-line options that say how a corpus is read: names of its fields, and quoting."""

from __future__ import annotations

import argparse
from typing import Any

from index_builder.corpus.names import Names
from index_builder.corpus.reading import Reading


def add_reading(parser: Any) -> None:
    """Add the options to a parser, or to a group of one."""
    for part, usual in (
        ("text", "text, question, query, title"),
        ("id", "id, _id"),
        ("answer", "answer"),
    ):
        parser.add_argument(
            f"--{part}-field",
            metavar="NAME",
            help=f"the column or key of --corpus that holds the {part} (default: {usual})",
        )
    parser.add_argument(
        "--quoting",
        choices=("csv", "none"),
        default="csv",
        help="none: quotes in .csv and .tsv are characters like others (default csv)",
    )


def chosen_reading(arguments: argparse.Namespace) -> Reading:
    """What the options say."""
    names = Names(arguments.text_field, arguments.id_field, arguments.answer_field)
    return Reading(names, arguments.quoting)

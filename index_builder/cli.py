"""The command line of the builder: build, report, publish-model, evaluate and others."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from index_builder.build_command import add_build
from index_builder.demo_command import add_demo_corpus
from index_builder.described import described
from index_builder.evaluate_command import add_evaluate
from index_builder.fleet_page_command import add_fleet_page
from index_builder.label_command import add_label
from index_builder.plan_command import add_plan
from index_builder.preview_command import add_preview
from index_builder.publish.cli import add_parser as add_publish_model
from index_builder.report_command import add_report
from index_builder.unanswered_command import add_unanswered


def new_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="python -m index_builder",
        description="Turn a corpus into a sealed generation, and a model into a sealed artefact.",
    )
    parser.add_argument(
        "--traceback", action="store_true", help="show where in the program an error comes from"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_build(commands)
    add_publish_model(commands)
    add_evaluate(commands)
    add_label(commands)
    add_plan(commands)
    add_report(commands)
    add_preview(commands)
    add_unanswered(commands)
    add_fleet_page(commands)
    add_demo_corpus(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns: 0 when done, 1 when an input is at fault (one line says which and what to do), 2 for
        a mistyped command line, 130 after Ctrl-C.
    """
    arguments = new_parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # the last one to see it: it is named, never hidden
        if arguments.traceback:
            raise
        print(f"error: {described(error)}", file=sys.stderr)
        return 1
    return code


def existing_file(text: str) -> Path:
    """An argparse type: a file that exists."""
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text} is not a file")
    return path

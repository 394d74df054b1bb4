"""``askfleet ask``, ``status`` and ``completion``: their options, and what each one runs.

Exit status of ``ask``: 0 there is a match; 1 nothing fits; 2 the question is refused as it was
asked; 3 nobody was reached, or the fleet could not or would not answer. That of ``status`` is the
playbook's.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from pathlib import Path
from typing import Any

from app.errors import ConfigError

PROJECT = Path(__file__).resolve().parents[1]
SHELLS = ("bash", "zsh", "fish")
ASK = """\
exit status: 0 a match, 1 nothing fits, 2 refused as it was asked, 3 nobody answered
environment: ASKFLEET_URL, ASKFLEET_KEY_FILE, where the options are not given; NO_COLOR
"""


def add_commands(commands: Any) -> None:
    """Add the controller's commands to those of ``askfleet``; imports nothing that takes time.

    Args:
        commands: what ``add_subparsers`` returned.
    """
    ask = commands.add_parser(
        "ask",
        help="ask the fleet a question",
        epilog=ASK,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    ask.add_argument("question", help="the question; - reads it from standard input")
    ask.add_argument("--url", help="an edge (default: $ASKFLEET_URL, http://127.0.0.1:8080)")
    ask.add_argument("--k", type=int, default=5, metavar="N", help="how many results (default: 5)")
    ask.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="what documents must pass: set=BoolQ, lang=en,de, 'year>=2020', or JSON; several must "
        "all pass",
    )
    ask.add_argument("--min-confidence", type=float, metavar="P", help="to have a match, 0 to 1")
    ask.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        help="the API key, in a file for you alone (default: $ASKFLEET_KEY_FILE)",
    )
    ask.add_argument("--ca", type=Path, metavar="FILE", help="the CA of the edge's certificate")
    ask.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS")
    ask.add_argument("--json", action="store_true", help="the fleet's answer as it is")
    ask.set_defaults(run=_ask)

    status = commands.add_parser("status", help="what every host serves, and what differs")
    status.add_argument(
        "--project", type=Path, default=PROJECT, metavar="DIR", help="a checkout of askfleet"
    )
    status.add_argument("-i", "--inventory", metavar="DIR", help="as ansible-playbook's")
    status.add_argument("--verify", action="store_true", help="read every file that is served")
    status.add_argument("--json", action="store_true", help="the table for programs")
    status.set_defaults(run=_status)

    completion = commands.add_parser("completion", help="completion for a shell, to be sourced")
    completion.add_argument("shell", choices=SHELLS)
    completion.set_defaults(run=_completion)


def needs(name: str) -> Any:
    """Import a package of the controller; raises ConfigError that says how to install it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{name.partition('.')[0]} is not installed here: it is part of askfleet[controller], "
            "which `make setup` installs"
        ) from error


def _ask(arguments: argparse.Namespace) -> int:
    from client.answer import AskError, show
    from client.ask import ask, outcome
    from client.wanted import wanted

    console = None if arguments.json else new_console()
    try:
        body, answer = ask(wanted(arguments, os.environ))
    except AskError as fault:
        if arguments.json and fault.body:
            emit(fault.body)
        print(f"error: {fault}", file=sys.stderr)
        return fault.status
    if console:
        show(console, answer)
    else:
        emit(body)
    return outcome(answer)


def _status(arguments: argparse.Namespace) -> int:
    from client.status import status

    return status(arguments, None if arguments.json else new_console())


def _completion(arguments: argparse.Namespace) -> int:
    from app.cli import new_parser

    shtab = needs("shtab")
    parser = new_parser()
    for kind, names in ((shtab.FILE, ("FILE",)), (shtab.DIRECTORY, ("DIR", "directory"))):
        for action in _actions(parser):
            if {action.metavar, action.dest} & set(names):
                action.complete = kind  # type: ignore[attr-defined]  # what shtab looks for
    print(shtab.complete(parser, arguments.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    found = []
    for action in parser._actions:  # it has no public name; shtab reads it, too
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):
            found += [one for below in action.choices.values() for one in _actions(below)]
    return found


def emit(body: str) -> None:
    """Print JSON; a terminal gets the controls that JSON lets stand in the other way to write."""
    if sys.stdout.isatty():
        body = re.sub("[\x7f-\x9f]", lambda sign: f"\\u{ord(sign[0]):04x}", body)
    print(body)


def new_console() -> Any:
    """Standard output for people: as wide as the terminal, without line breaks in a pipe."""
    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 100_000
    return needs("rich.console").Console(width=wide, highlight=False, markup=False, emoji=False)

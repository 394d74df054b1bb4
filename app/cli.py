"""``askfleet``: what an operator, or Ansible, asks on a host, and people on the controller.

Exit status: 0 good, 1 not good, 2 mistyped; those of the controller's commands are in
``client/cli.py``. A command imports what it needs itself, so that none waits for another's.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app import __version__
from app.errors import AskfleetError, ConfigError


def new_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="askfleet",
        description="Ask a fleet, see what it serves, check a generation or model on this host.",
    )
    parser.add_argument("--version", action="version", version=f"askfleet {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    verify = commands.add_parser("verify", help="check a staged generation and open its parts")
    verify.add_argument("directory", type=Path)
    verify.add_argument("--shard", type=int, action="append", default=[], metavar="N")
    verify.add_argument("--all-shards", action="store_true", help="every shard, as the builder has")
    verify.add_argument("--routing", action="store_true", help="the part that a gateway holds")
    verify.set_defaults(run=_verify)

    model = commands.add_parser("verify-model", help="check a staged model artefact")
    model.add_argument("directory", type=Path)
    model.set_defaults(run=_verify_model)

    canary = commands.add_parser("canary", help="ask a gateway, or the edge, the canaries")
    canary.add_argument("--url", required=True, help="base URL, e.g. http://127.0.0.1:7000")
    canary.add_argument("--generation-dir", type=Path, required=True)
    canary.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS")
    canary.add_argument(
        "--withdrawn",
        type=Path,
        metavar="FILE",
        help="withdrawn documents, which no answer has (default: beside the generations)",
    )
    canary.add_argument(
        "--pin",
        action="store_true",
        help="ask a gateway for this generation, which need not be its current one",
    )
    canary.set_defaults(run=_canary)
    _add_preview(commands)
    _add_recorded(commands)
    _add_client(commands)
    return parser


def _add_preview(commands: Any) -> None:
    preview = commands.add_parser(
        "preview",
        help="ask a gateway the same questions of two generations",
        description="Reads questions as a JSON list of strings from standard input, and prints a "
        "line of JSON for each: what both generations answer. Nothing is written on this host.",
    )
    preview.add_argument("--url", required=True, help="base URL, e.g. http://127.0.0.1:7000")
    preview.add_argument("--before", required=True, metavar="ID", help="what users are answered by")
    preview.add_argument("--after", required=True, metavar="ID", help="what is to come")
    preview.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS")
    preview.set_defaults(run=_preview)


def _add_recorded(commands: Any) -> None:
    recorded = commands.add_parser(
        "recorded",
        help="what users asked a gateway, where it records that",
        description="Prints the samples that each process of a gateway on this host keeps, as "
        "JSON: of all questions, and of those without a match.",
    )
    recorded.add_argument("--url", required=True, help="base URL, e.g. http://127.0.0.1:7000")
    recorded.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS")
    recorded.set_defaults(run=_recorded)


def _add_client(commands: Any) -> None:
    """Add what people on the controller ask; hosts install ``app`` alone, and say so."""
    try:
        from client.cli import add_commands
    except ModuleNotFoundError:
        for name in ("ask", "status", "completion"):
            command = commands.add_parser(name, add_help=False)
            command.add_argument("rest", nargs=argparse.REMAINDER)
            command.set_defaults(run=_elsewhere)
    else:
        add_commands(commands)


def _elsewhere(arguments: argparse.Namespace) -> str:
    raise ConfigError(f"askfleet {arguments.command} is a command of the controller, not of a host")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a fault is one line on standard error."""
    arguments = new_parser().parse_args(argv)
    try:
        told = arguments.run(arguments)
    except AskfleetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if isinstance(told, int):
        return told
    print(told)
    return 0


def _verify(arguments: argparse.Namespace) -> str:
    from app.generation.filtering import Filtering
    from app.generation.manifest import Manifest
    from app.generation.rescoring import Rescorer
    from app.generation.routing import Router
    from app.generation.shard_part import ShardPart

    manifest = Manifest.load(arguments.directory)
    shards = range(len(manifest.shards)) if arguments.all_shards else arguments.shard
    manifest.verify(arguments.directory, shards, routing=arguments.routing)
    for shard in shards:
        ShardPart.open(arguments.directory, shard).self_query()
    if arguments.routing:
        Router.load(arguments.directory, manifest)
        Rescorer.load(arguments.directory, manifest)
        Filtering.load(arguments.directory, manifest)
    return f"generation {manifest.id} is whole"


def _verify_model(arguments: argparse.Namespace) -> str:
    from app.generation.model import Model

    model = Model.load(arguments.directory)
    model.verify(arguments.directory)
    return f"model {model.fingerprint} is whole"


def _canary(arguments: argparse.Namespace) -> str:
    from app.canary_run import run_canaries

    begun = time.monotonic()
    count = run_canaries(
        arguments.url,
        arguments.generation_dir,
        arguments.timeout,
        pin=arguments.pin,
        withdrawn=arguments.withdrawn,
    )
    return f"{count} canaries answered as they must in {time.monotonic() - begun:.2f} s"


def _preview(arguments: argparse.Namespace) -> int:
    import msgspec

    from app.preview import run_preview

    try:
        questions = msgspec.json.decode(sys.stdin.buffer.read(), type=list[str])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"standard input is no JSON list of questions: {error}") from error
    asked = run_preview(
        arguments.url, arguments.before, arguments.after, questions, arguments.timeout
    )
    for pair in asked:
        sys.stdout.buffer.write(msgspec.json.encode(pair) + b"\n")
    return 0


def _recorded(arguments: argparse.Namespace) -> str:
    import requests

    from app.wire import RECORDED_PATH

    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.get(arguments.url + RECORDED_PATH, timeout=arguments.timeout)
        except requests.RequestException as error:
            raise ConfigError(f"{arguments.url}: no answer ({type(error).__name__})") from error
    if answer.status_code == 404:
        raise ConfigError(f"{arguments.url} records no questions: set askfleet_record_questions")
    if answer.status_code != 200:
        raise ConfigError(f"{arguments.url}: {answer.status_code} {answer.text[:200]}")
    return answer.text

"""``python -m index_builder fleet-page``: what fleet_page.yml found, as a page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec

from app.errors import ConfigError
from index_builder.fleet_page.found import changes, read
from index_builder.fleet_page.page import rendered
from index_builder.report.figures import replace


def add_fleet_page(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "fleet-page",
        help="what fleet_page.yml found -> a page for operators",
        description="fleet_page.yml runs this; `make fleet-page` runs that.",
    )
    parser.add_argument("found", type=Path, metavar="FILE", help="what the playbook found, as JSON")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the page")
    parser.add_argument(
        "--kept", type=Path, required=True, metavar="DIR", help="where reports and previews are"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        found = read(arguments.found)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{arguments.found}: not what fleet_page.yml writes: {error}") from error
    done = changes(found.journal, arguments.kept, arguments.out.parent)
    replace(arguments.out, rendered(found, done).encode())
    print(arguments.out)
    return 0

"""``python -m index_builder report``, and the report that every build leaves."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from app.generation.manifest import Manifest
from index_builder.described import described
from index_builder.progress import Progress
from index_builder.report.figures import PAGE, kept, replace
from index_builder.report.measure import Known, measure
from index_builder.report.page import rendered


def add_report(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "report",
        help="a sealed generation -> its report as a page",
        description="Make the report of a sealed generation again: from the figures that the build "
        "left beside the manifest, or else by measuring what the generation alone can tell.",
    )
    parser.add_argument("generation", type=Path, metavar="GENERATION", help="its directory")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help=f"the page (default GENERATION/{PAGE})"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    print(make(arguments.generation, Known(), arguments.out))
    return 0


def make(directory: Path, known: Known, out: Path | None = None) -> Path:
    """Write the page of a sealed generation, and its figures beside the manifest; the page's path.

    Figures that are there are taken as they are. With ``out`` the manifest gets nothing beside it.

    Raises: GenerationError where it is damaged, OSError where a file cannot be written.
    """
    manifest = Manifest.load(directory)
    figures = kept(directory, manifest.id)
    if figures is None:
        figures = measure(directory, manifest, known)
        if out is None:
            figures.save(directory)
    page = out or directory / PAGE
    replace(page, rendered(manifest, figures).encode())
    return page


def leave_report(directory: Path, known: Known, progress: Progress) -> str:
    """Make the report of a build, unless it is there: its path, or why there is none.

    Whatever happens, the generation is sealed: a report that fails takes nothing from it.
    """
    if (page := directory / PAGE).exists():
        return str(page)
    progress.say("measuring for the report")
    try:
        said = str(make(directory, known))
    except Exception as error:
        said = (
            f"not made: {described(error)}. The generation is sealed and whole; to try again: "
            f"python -m index_builder report {directory}"
        )
    progress.say(f"report: {said}")
    return said

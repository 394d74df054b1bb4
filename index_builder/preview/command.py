"""The end of a preview: its figures, a verdict, and the report on the controller's disk."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from app.errors import ConfigError
from app.wire.preview import Pair
from index_builder.preview.changes import Both, ranked
from index_builder.preview.figures import Figures, measured
from index_builder.preview.gates import faults
from index_builder.preview.page import rendered
from index_builder.preview.wanted import Wanted
from index_builder.report.figures import replace

PAGE, FIGURES = "preview.html", "preview.json"
# The mode of both.
OWN = 0o600


@dataclass(frozen=True, slots=True)
class Judged:
    """Lines for people, why the change must not go on, and the report."""

    lines: list[str]
    faults: list[str]
    report: Path


def judged(wanted: Wanted, pairs: Sequence[Pair], names: Sequence[str], reports: Path) -> Judged:
    """Judge a preview, and leave its report in a directory of its own below ``reports``.

    Args, Raises: as of `written`.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return written(wanted, pairs, names, reports / f"{stamp}-{names[1]}")


def written(wanted: Wanted, pairs: Sequence[Pair], names: Sequence[str], directory: Path) -> Judged:
    """Judge a preview, and write its report into ``directory``, which is made where it is missing.

    Only its owner may read the report: it has users' questions.

    Args:
        wanted: what was asked, and the gates.
        pairs: all answers.
        names: the generation that users have, and the one to come.
        directory: of this report alone; another one in it is replaced.

    Raises: ConfigError where the report cannot be written.
    """
    changes = ranked(pairs)
    figures = measured(wanted, pairs, changes, *names)
    failed = faults(figures, changes, wanted)
    page = rendered(figures, failed, wanted)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(
            directory / FIGURES, msgspec.json.format(msgspec.json.encode(figures), indent=1), OWN
        )
        replace(directory / PAGE, page.encode(), OWN)
    except OSError as error:
        raise ConfigError(f"{directory}: {error.strerror}: the report cannot be kept") from error
    report = directory / PAGE
    return Judged([*_lines(figures), f"Report: {report}"], failed, report)


def _lines(figures: Figures) -> Iterator[str]:
    changed, stays = 100 * figures.changed, 100 * figures.overlap
    yield (
        f"Preview of {figures.after} against {figures.before}: {figures.questions:,} questions, "
        f"{changed:.1f} % with another first answer; of ten answers {stays:.1f} % stay; "
        f"rank-biased overlap {figures.rbo:.3f}"
    )
    yield (
        f"without an answer {_shares(figures.unanswered)} ({figures.newly_unanswered:,} lose it, "
        f"{figures.newly_answered:,} get one); median score {figures.score.before:.3f} -> "
        f"{figures.score.after:.3f}; partial {_shares(figures.partial)}"
    )
    if figures.latency is not None:
        middle, last = figures.latency.p50, figures.latency.p99
        yield (
            f"ms to answer, median {middle.before:.1f} -> {middle.after:.1f}, 99 % "
            f"{last.before:.1f} -> {last.after:.1f}; shards asked {figures.asked.before:.2f} -> "
            f"{figures.asked.after:.2f}"
        )
    if figures.compared < figures.questions:
        yield f"not answered by both: {figures.questions - figures.compared:,} (see the report)"
    if figures.labelled is not None:
        shown = (
            f"{one.name} {one.before:.4f} -> {one.after:.4f} ({one.low:+.4f} to {one.high:+.4f})"
            for one in figures.labelled.measures
        )
        yield f"{figures.labelled.questions:,} labelled questions: {', '.join(shown)}"


def _shares(both: Both) -> str:
    return f"{100 * both.before:.1f} % -> {100 * both.after:.1f} %"

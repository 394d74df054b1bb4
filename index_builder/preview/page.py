"""The page of a preview: one HTML file that needs nothing else."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from app.wire.preview import SHOWN
from index_builder.preview.changes import Change
from index_builder.preview.figures import Figures
from index_builder.preview.wanted import Gates, Wanted
from index_builder.report import charts
from index_builder.report.environment import new_environment

HERE = Path(__file__).parent


def rendered(figures: Figures, faults: Sequence[str], wanted: Wanted) -> str:
    """The page; the same for the same figures."""
    environment = new_environment(HERE, Path(charts.__file__).parent)
    script = (HERE / "find.js").read_text(encoding="utf-8")
    return environment.get_template("preview.html.j2").render(
        f=figures,
        faults=faults,
        remarks=wanted.remarks,
        gated=wanted.gates != Gates(),
        overlaps=_overlaps(figures),
        scores=_scores(figures),
        moved=moved,
        gone=gone,
        shown=SHOWN,
        charts=charts,
        script=script,
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
    )


def moved(change: Change, place: int) -> str:
    """Where a result of the answer after the change was before it."""
    ids = [found.id for found in change.pair.before.results]
    name = change.pair.after.results[place].id
    if name not in ids:
        return "new"
    was = ids.index(name)
    if was == place:
        return "same place"
    return f"{'up' if was > place else 'down'} from {was + 1}"


def gone(change: Change, place: int) -> bool:
    """Whether a result of the answer before the change is not in that after it."""
    name = change.pair.before.results[place].id
    return all(found.id != name for found in change.pair.after.results)


def _overlaps(figures: Figures) -> dict[str, object]:
    counts = figures.overlaps
    step = max(charts.step_of(max(max(counts), 1), 4), 1)
    y = charts.upwards(0, math.ceil(max(max(counts), 1) / step) * step)
    bars = charts.bars(counts, y, [f"{place} of ten the same" for place in range(len(counts))])
    marks = [
        charts.Tick(round(bar.x + bar.width / 2, 1), str(place)) for place, bar in enumerate(bars)
    ]
    return {"bars": bars, "x": marks, "y": y.ticks(step, "{:,.0f}")}


def _scores(figures: Figures) -> dict[str, object] | None:
    if not any(map(any, figures.scores)):
        return None
    known = tuple(zip(("base", "first"), map(charts.shares, figures.scores), strict=True))
    used = [place for counts in figures.scores for place, count in enumerate(counts) if count]
    low = max(min(used) - 1, 0) * figures.step
    top = max(share for _, points in known for _, share in points)
    step = charts.step_of(top, 4)
    x, y = charts.across(low, 1.0), charts.upwards(0.0, math.ceil(top / step) * step)
    return {
        "lines": [
            charts.line(name, [point for point in points if point[0] > low], x, y)
            for name, points in known
        ],
        "x": x.ticks(charts.step_of(1 - low, 5), "{:.2g}"),
        "y": y.ticks(step, "{:.3g}"),
    }

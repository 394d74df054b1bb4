"""The page: hosts and services, what differs, alerts, and the last changes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from index_builder.fleet_page.found import Change, Found, Row, by_unit
from index_builder.report import environment
from index_builder.report.environment import new_environment
from index_builder.report.page import megabytes

HERE = Path(__file__).parent


class Line(NamedTuple):
    """A service with its load and memory; None where Prometheus has none."""

    row: Row
    load: float | None
    memory: str | None


def rendered(found: Found, changes: list[Change]) -> str:
    """The page; the same for the same findings."""
    watched = found.prometheus
    load = by_unit(watched.load) if watched else {}
    memory = by_unit(watched.memory) if watched else {}
    lines = []
    for row in found.rows:
        key = row.host, row.service
        held = megabytes(memory[key]) if key in memory else None
        lines.append(Line(row, load.get(key), held))
    template = new_environment(HERE, Path(environment.__file__).parent)
    alerts = watched.alerts if watched else []
    return template.get_template("fleet.html.j2").render(
        found=found,
        lines=lines,
        hosts=len({row.host for row in found.rows}),
        changes=changes,
        alerts=sorted(alerts, key=lambda one: (one.state != "firing", one.activeAt)),
    )

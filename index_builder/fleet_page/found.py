"""What the playbook found, and what of it goes on the page."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

CHANGES = 20
"""Changes that the page shows, the newest first."""


class Row(msgspec.Struct, frozen=True):
    """A service of a host, as the table of status.yml has it."""

    host: str
    service: str
    release: str
    current: str
    previous: str
    model: str
    health: str
    documents: str
    faults: list[str]


class Entry(msgspec.Struct, frozen=True):
    """An entry of a host's journal; one change has one on every host that it touched."""

    host: str
    time: str = ""
    run: str = ""
    what: str = ""
    by: str = ""
    result: str = ""
    seconds: float = 0.0


class Sample(msgspec.Struct, frozen=True):
    """What Prometheus has of one series: labels, and [time, value]."""

    metric: dict[str, str]
    value: tuple[float, str]


class Alert(msgspec.Struct, frozen=True):
    """An alert that waits or fires."""

    labels: dict[str, str]
    state: str
    annotations: dict[str, str] = {}
    activeAt: str = ""  # noqa: N815  # Prometheus' name


class Watched(msgspec.Struct, frozen=True):
    """What Prometheus says; questions a second, and bytes of memory, by unit and host."""

    alerts: list[Alert]
    load: list[Sample]
    memory: list[Sample]


class Found(msgspec.Struct, frozen=True):
    """Everything; ``prometheus`` is None where no host watches, or it does not answer."""

    made: str
    serves: str
    rows: list[Row]
    notes: list[str]
    faults: list[str]
    journal: list[Entry]
    prometheus: Watched | None = None


class Change(msgspec.Struct, frozen=True):
    """A run of a playbook: when, by whom, where, and how it ended; ``links`` by name."""

    time: str
    what: str
    by: str
    hosts: int
    failed: list[str]
    links: dict[str, str]


def changes(journal: Sequence[Entry], kept: Path, page: Path) -> list[Change]:
    """Put the entries of each run together, the newest first.

    Args:
        journal: of all hosts.
        kept: the controller's directory with generations and previews.
        page: the directory of the page, which links are relative to.
    """
    runs: dict[str, list[Entry]] = {}
    for entry in sorted(journal, key=lambda one: one.time):
        # An undone run is one of its own: "put back, for update to … failed".
        runs.setdefault(f"{entry.run} {entry.what}", []).append(entry)
    found = [_change(entries, kept, page) for entries in runs.values()]
    return sorted(found, key=lambda one: one.time, reverse=True)[:CHANGES]


def _change(entries: Sequence[Entry], kept: Path, page: Path) -> Change:
    first = entries[0]
    failed = [f"{one.host}: {one.result}" for one in entries if one.result not in ("ok", "")]
    hosts = len({one.host for one in entries})
    return Change(
        first.time, first.what, first.by, hosts, failed, dict(_links(first.what, kept, page))
    )


def _links(what: str, kept: Path, page: Path) -> Iterable[tuple[str, str]]:
    generation = next((word for word in what.split() if _is_id(word)), "")
    if not generation:
        return
    report = kept / "generations" / generation / "report.html"
    if report.is_file():
        yield "build", os.path.relpath(report, page)
    previews = sorted((kept / "previews").glob(f"*-{generation}/preview.html"))
    if previews:
        yield "preview", os.path.relpath(previews[-1], page)


def _is_id(word: str) -> bool:
    return len(word) == 25 and word[:8].isdecimal() and word[8] == "T" and word[16] == "-"


def by_unit(samples: Sequence[Sample]) -> dict[tuple[str, str], float]:
    """Values by host and unit; what is not a number is left out."""
    found: dict[tuple[str, str], float] = {}
    for one in samples:
        value = float(one.value[1])
        if value == value:  # NaN is not itself
            found[one.metric.get("host", ""), one.metric.get("unit", "")] = value
    return found


def read(file: Path) -> Found:
    """What a playbook wrote; raises msgspec.DecodeError where it is something else."""
    return msgspec.json.decode(file.read_bytes(), type=Found)

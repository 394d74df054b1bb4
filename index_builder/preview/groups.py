"""The figures of a preview by the values of the fields that a generation can be filtered by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from app.wire.preview import Found, Pair, Side
from index_builder.preview.changes import Both, Change, mean
from index_builder.preview.labels import Labelled, labelled
from index_builder.preview.spread import Drift, Latency, drift, latency

# Values of a field that have a row of their own.
VALUES = 8
OTHERS = "others"


class Group(msgspec.Struct, frozen=True):
    """The questions whose first result has a value in a field, before the change.

    The figures are those of `Figures`; ``drift`` is of the score.
    """

    field: str
    value: str
    questions: int
    changed: float
    overlap: float
    rbo: float
    drift: Drift | None
    unanswered: Both
    partial: Both
    latency: Latency | None
    labelled: Labelled | None


def groups_of(
    fields: Sequence[str], changes: Sequence[Change], relevant: Mapping[str, frozenset[str]]
) -> Iterator[Group]:
    """Of each field the commonest values, and the rest as one."""
    for field in fields:
        members: dict[str, list[Change]] = {}
        for change in changes:
            for value in _values(change.pair.before.results[:1], field):
                members.setdefault(value, []).append(change)
        ordered = sorted(members, key=lambda value: (-len(members[value]), value))
        rest = [change for value in ordered[VALUES:] for change in members[value]]
        rows = [(value, members[value]) for value in ordered[:VALUES]]
        for value, some in [*rows, (OTHERS, rest)] if rest else rows:
            yield _group(field, value, some, relevant)


def _group(
    field: str, value: str, changes: Sequence[Change], relevant: Mapping[str, frozenset[str]]
) -> Group:
    pairs = [change.pair for change in changes]
    return Group(
        field,
        value,
        len(changes),
        mean(change.changed for change in changes),
        mean(change.overlap for change in changes),
        mean(change.rbo for change in changes),
        drift([change.drift for change in changes]),
        _both(pairs, lambda side: side.match is None),
        _both(pairs, lambda side: side.partial),
        latency(changes),
        labelled(relevant, pairs),
    )


def _both(pairs: Sequence[Pair], figure: Callable[[Side], float]) -> Both:
    return Both(
        mean(figure(pair.before) for pair in pairs), mean(figure(pair.after) for pair in pairs)
    )


def _values(first: Sequence[Found], field: str) -> list[str]:
    """The values of a field as people read them; of a list each, once."""
    value = (first[0].metadata or {}).get(field) if first else None
    listed = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(str(one) for one in listed if isinstance(one, str | int | float)))

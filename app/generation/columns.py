"""The values of a shard's rows, field by field, for filters.

Two arrays a field, row by row, so that a document that comes or goes changes few bytes of them:

- ``filter-0-values.npy``  (total,) uint64 or float64 (``filters.DTYPES``), row after row
- ``filter-0-counts.npy``  (n,) uint16, how many values each row has
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import GenerationError
from app.generation.arrays import read_array
from app.generation.file_names import filter_files
from app.generation.filters import DTYPES, Condition, conditions
from app.generation.manifest import REMEDY
from app.generation.manifest_parts import FilterField
from app.generation.passing import Passing

# Filters whose rows are kept at hand: a bit a row each.
KEPT = 64


class Column(NamedTuple):
    """The values of one field: all of them, (total,), and how many each row has, (n,)."""

    values: NDArray[Any]
    counts: NDArray[np.uint16]

    def meeting(self, condition: Condition) -> NDArray[np.bool_]:
        """Which rows have a value that meets a condition: (n,)."""
        met = condition.met_by(self.values)
        if len(met) == len(self.counts) and (self.counts == 1).all():
            return met
        of_row = np.repeat(np.arange(len(self.counts)), self.counts)
        return np.bincount(of_row[met], minlength=len(self.counts)) > 0


def meeting(
    columns: Sequence[Column], wanted: Sequence[Condition], count: int
) -> NDArray[np.bool_]:
    """Which of ``count`` rows meet all conditions."""
    mask = np.ones(count, np.bool_)
    for condition in wanted:
        mask &= columns[condition.field].meeting(condition)
    return mask


class Columns:
    """The columns of one shard of ``count`` rows, in memory: 10 bytes a value."""

    def __init__(
        self, fields: Sequence[FilterField], columns: Sequence[Column], count: int
    ) -> None:
        self._fields, self._columns, self._count = fields, columns, count
        self._kept: OrderedDict[str, Passing] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def load(cls, part: Path, fields: Sequence[FilterField], count: int) -> Columns:
        """Read the files of a shard; raises GenerationError where they are damaged."""
        columns = []
        for place, field in enumerate(fields):
            values, counts = filter_files(place)
            column = Column(
                read_array(part / values, DTYPES[field.kind]),
                read_array(part / counts, np.uint16),
            )
            if len(column.counts) != count or int(column.counts.sum()) != len(column.values):
                raise GenerationError(f"{part / counts} does not fit the shard: {REMEDY}")
            columns.append(column)
        return cls(fields, columns, count)

    def passing(self, text: str) -> Passing:
        """Which rows pass a filter; milliseconds for a million rows, unless it is at hand.

        Raises: ProblemError 400 (``filters.conditions``).
        """
        if (kept := self.at_hand(text)) is not None:
            return kept
        found = Passing(meeting(self._columns, conditions(text, self._fields), self._count))
        with self._lock:
            self._kept[text] = found
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found

    def at_hand(self, text: str) -> Passing | None:
        """The same, where it was worked out of late."""
        with self._lock:
            if text in self._kept:
                self._kept.move_to_end(text)
            return self._kept.get(text)


def write(part: Path, field: int, column: Column) -> None:
    """Write the files of a field."""
    for name, array in zip(filter_files(field), column, strict=True):
        np.save(part / name, array, allow_pickle=False)

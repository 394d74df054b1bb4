"""Filters at a gateway: which clusters hold documents that pass, and so which shards are asked.

What passes is estimated for each cluster: of several fields as if one told nothing of the other. A
cluster that is said to hold none holds none. Only clusters that hold some count, each as much as
the square root of how many; temperature and threshold are those that the builder measured under
filters.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.errors import GenerationError
from app.generation.arrays import read_array
from app.generation.file_names import CLUSTER_SIZES, FILTER_COUNTS, FILTER_VALUES
from app.generation.filters import Condition, conditions
from app.generation.manifest import REMEDY, Manifest
from app.generation.manifest_parts import Filters
from app.generation.routing import Passed

# How many documents of each cluster have each value, in this order. Of a number ``value`` is that
# of its bin (Listed).
COUNTS = np.dtype([("field", "<u2"), ("value", "<u8"), ("cluster", "<u4"), ("count", "<u4")])
KEPT = 256
# Which part of a bin one number is, about, and the least that a range may be.
PART = 0.01


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A field as callers are told of it.

    Attributes:
        documents: that have a value.
        distinct: how many values there are.
        values: the commonest, and how many documents have each.
        lows: of numbers, the lowest of each bin, ascending.
        highs: the highest of each.
    """

    documents: int
    distinct: int
    values: tuple[tuple[str | int | float | bool, int], ...]
    lows: tuple[float, ...] = ()
    highs: tuple[float, ...] = ()


_LISTED = msgspec.json.Decoder(tuple[Listed, ...])


class Filtering:
    """What a gateway knows of the fields.

    Args:
        filters: of the manifest.
        sizes: (clusters,) documents of each.
        counts: ``COUNTS``.
        listed: of each field.
    """

    def __init__(
        self,
        filters: Filters,
        sizes: NDArray[np.uint32],
        counts: NDArray[Any],
        listed: Sequence[Listed],
    ) -> None:
        self.filters, self.listed = filters, listed
        self._sizes = sizes.astype(np.float64)
        order = np.lexsort((counts["cluster"], counts["value"], counts["field"]))
        counts = counts[order]
        ends = np.searchsorted(counts["field"], np.arange(len(filters.fields) + 1))
        columns = [np.ascontiguousarray(counts[name]) for name in ("value", "cluster", "count")]
        self._of_field = [
            tuple(column[begin:end] for column in columns) for begin, end in pairwise(ends)
        ]
        self.passed = lru_cache(KEPT)(self._passed)
        """What passes a filter; raises ProblemError 400 (``filters.conditions``)."""

    @classmethod
    def load(cls, directory: Path, manifest: Manifest) -> Filtering | None:
        """That of a generation; None where it has no fields; raises GenerationError."""
        filters = manifest.routing.filters
        return None if filters is None else cls.read(directory, filters, manifest.clusters)

    @classmethod
    def read(cls, directory: Path, filters: Filters, clusters: int) -> Filtering:
        """The files of a generation with so many clusters; raises GenerationError."""
        sizes = read_array(directory / CLUSTER_SIZES, np.uint32)
        counts = read_array(directory / FILTER_COUNTS, COUNTS)
        try:
            listed = _LISTED.decode((directory / FILTER_VALUES).read_bytes())
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise GenerationError(f"{directory / FILTER_VALUES} is unreadable: {error}") from error
        whole = len(sizes) == clusters and len(listed) == len(filters.fields)
        if not whole or (len(counts) and int(counts["cluster"].max()) >= len(sizes)):
            raise GenerationError(f"{directory / FILTER_COUNTS} does not fit: {REMEDY}")
        return cls(filters, sizes, counts, listed)

    def fields(self) -> list[dict[str, Any]]:
        """The fields as callers are told of them."""
        told = []
        for field, listed in zip(self.filters.fields, self.listed, strict=True):
            one: dict[str, Any] = {
                "name": field.name,
                "type": field.kind,
                "documents": listed.documents,
                "distinct": listed.distinct,
                "values": [{"value": value, "documents": n} for value, n in listed.values],
            }
            if field.kind == "number":
                one |= {"min": listed.lows[0], "max": listed.highs[-1]}
            told.append(one)
        return told

    def _passed(self, text: str) -> Passed:
        passing = self._sizes.copy()
        for condition in conditions(text, self.filters.fields):
            own = self._of_one(condition)
            passing *= np.divide(own, self._sizes, out=np.zeros_like(own), where=self._sizes > 0)
        return Passed(passing, self.filters.temperature, self.filters.threshold)

    def _of_one(self, condition: Condition) -> NDArray[np.float64]:
        """About how many documents of each cluster meet one condition: (clusters,)."""
        values, clusters, counts = self._of_field[condition.field]
        wanted, parts = self._values(condition)
        begins = np.searchsorted(values, wanted, side="left")
        ends = np.searchsorted(values, wanted, side="right")
        ranges = [np.arange(*each) for each in zip(begins.tolist(), ends.tolist(), strict=True)]
        at = np.concatenate([np.empty(0, np.int64), *ranges])
        met = counts[at] * np.repeat(parts, ends - begins)
        return np.minimum(np.bincount(clusters[at], met, minlength=len(self._sizes)), self._sizes)

    def _values(self, condition: Condition) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
        """The values, or bins, that hold what meets a condition, and which part of each does."""
        listed = self.listed[condition.field]
        if self.filters.fields[condition.field].kind == "keyword":
            assert condition.among is not None  # noqa: S101  # words have no range
            return condition.among, np.ones(len(condition.among))
        lows, highs = np.array(listed.lows), np.array(listed.highs)
        widths = highs - lows
        if condition.among is None:
            bins = np.flatnonzero((highs >= condition.low) & (lows <= condition.high))
            inside = np.minimum(highs, condition.high) - np.maximum(lows, condition.low)
            parts = np.divide(inside, widths, out=np.ones_like(widths), where=widths > 0)[bins]
        else:
            near = np.searchsorted(highs, condition.among)
            there = near < len(lows)
            there[there] &= lows[near[there]] <= condition.among[there]
            bins, many = np.unique(near[there], return_counts=True)
            parts = np.where(widths[bins] > 0, many * PART, 1.0)
        return bins.astype(np.uint64), np.maximum(parts, PART)

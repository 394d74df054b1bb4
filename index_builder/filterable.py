"""The fields that a search may filter by: read from the documents' metadata, and written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.errors import BuildError
from app.generation import columns
from app.generation.columns import Column
from app.generation.file_names import CLUSTER_SIZES, FILTER_COUNTS, FILTER_VALUES
from app.generation.filtering import COUNTS, Listed
from app.generation.filters import DTYPES, stored
from app.generation.manifest_parts import FilterField

Kind: TypeAlias = Literal["keyword", "number", "boolean"]
KINDS: dict[str, Kind] = {"keyword": "keyword", "number": "number", "boolean": "boolean"}
MAX_FIELDS = 20
# Values of one document in one field.
MAX_VALUES = 1000
# The commonest values that callers are told of, and into how many ranges numbers are divided.
TOLD = 100
BINS = 256
# Of one word, in characters.
MAX_WORD = 1000
_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(?P<part>(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?)", re.ASCII)
_WANTED = re.compile(r"(?P<name>[^:,]+)(?::(?P<kind>keyword|number|boolean))?")


def wanted_fields(text: str) -> tuple[tuple[str, Kind | None], ...]:
    """Read ``set,year:number``: names, and the kind of value where one is given.

    Raises: BuildError naming what is wrong.
    """
    found: dict[str, Kind | None] = {}
    for part in (part.strip() for part in text.split(",")):
        match = _WANTED.fullmatch(part)
        if match is None or not match["name"].strip():
            raise BuildError(
                f"--filterable {part!r}: use names of metadata fields, such as set,year:number; "
                "the kinds are keyword, number and boolean"
            )
        name = match["name"].strip()
        if name in found:
            raise BuildError(f"--filterable names {name!r} twice")
        found[name] = KINDS[match["kind"]] if match["kind"] else None
    if len(found) > MAX_FIELDS:
        raise BuildError(f"--filterable names {len(found)} fields, at most {MAX_FIELDS}")
    return tuple(found.items())


@dataclass(slots=True)
class _Reading:
    """One field while the documents are read."""

    name: str
    wanted: Kind | None
    kind: Kind | None
    values: list[int | float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    words: dict[int, str] = field(default_factory=dict)

    def add(self, value: object, document: str) -> None:
        """The value of the next document; None where it has none."""
        given = value if isinstance(value, list) else [] if value is None else [value]
        if len(given) > MAX_VALUES:
            raise self._fault(document, f"has {len(given):,} values, at most {MAX_VALUES:,}")
        kept = {self._stored(one, document) for one in given if one is not None}
        self.values.extend(sorted(kept))
        self.counts.append(len(kept))

    def _stored(self, value: object, document: str) -> int | float:
        if self.kind is None:
            self.kind = _kind_of(value)
        if self.wanted is not None:
            value = _converted(value, self.wanted)
        number = None if self.kind is None else stored(value, self.kind)
        if number is None:
            told = f"{value!r:.60} is no {self.kind}"
            if self.wanted is None and self.kind is not None:
                told += f", as the values before it are: give the kind, {self.name}:keyword"
            if _kind_of(value) is None:
                told = f"{value!r:.60} is none of a string, a number, true or false, or a list"
            elif self.kind == "number" and _kind_of(_converted(value, "number")) == "number":
                told = f"{value!r:.60} is beyond 2**53: write such numbers as strings"
            raise self._fault(document, told)
        if self.kind == "keyword":
            if len(str(value)) > MAX_WORD:
                what = f"a value has {len(str(value)):,} characters, at most {MAX_WORD:,}"
                raise self._fault(document, what)
            word = self.words.setdefault(int(number), str(value))
            if word != value:
                raise self._fault(document, f"{value!r} and {word!r} cannot be told apart")
        return number

    def _fault(self, document: str, what: str) -> BuildError:
        return BuildError(f"--filterable {self.name}: document {document!r}: {what}")


def _kind_of(value: object) -> Kind | None:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "keyword" if isinstance(value, str) else None


def _converted(value: object, kind: Kind) -> object:
    """A value as another kind, where that is asked for: tables have strings only."""
    if kind == "keyword" and isinstance(value, bool):
        return "true" if value else "false"
    if kind == "keyword" and isinstance(value, int | float):
        return f"{value}"
    if kind == "number" and isinstance(value, str):
        if (match := _NUMBER.fullmatch(value.strip())) is None:
            return value
        return float(value) if match["part"] else int(value)
    if kind == "boolean" and isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower(), value)
    return value


class Filterable:
    """The columns of a whole corpus, by place.

    Args:
        fields: in their order.
        columns: of each.
        words: of each field the words by their number (``filters.stored``); none of numbers.
    """

    def __init__(
        self,
        fields: Sequence[FilterField],
        columns: Sequence[Column],
        words: Sequence[Mapping[int, str]],
    ) -> None:
        self.fields, self.columns = tuple(fields), tuple(columns)
        self._words = words

    @classmethod
    def read(
        cls,
        wanted: Sequence[tuple[str, Kind | None]],
        documents: Iterable[tuple[str, bytes]],
    ) -> Filterable:
        """Read fields of documents (id, metadata as JSON), in the order of the corpus.

        Raises: BuildError naming the field that no document has, or the document with a value of
            another kind.
        """
        readings = [_Reading(name, kind, kind) for name, kind in wanted]
        seen: Counter[str] = Counter()
        for document, raw in documents:
            metadata = msgspec.json.decode(raw) or {}
            seen.update(metadata.keys())
            for reading in readings:
                reading.add(metadata.get(reading.name), document)
        fields, found = [], []
        for reading in readings:
            if reading.kind is None or not reading.values:
                known = ", ".join(name for name, _ in seen.most_common(10)) or "none at all"
                raise BuildError(
                    f"--filterable {reading.name}: no document has a value in this metadata "
                    f"field; they have {known}"
                )
            fields.append(FilterField(reading.name, reading.kind))
            values = np.array(reading.values, DTYPES[reading.kind])
            found.append(Column(values, np.array(reading.counts, np.uint16)))
        return cls(fields, found, [reading.words for reading in readings])

    def write_shard(self, part: Path, places: NDArray[np.int64]) -> None:
        """Write the columns of a shard that stores the documents at these places, in that order."""
        for number, column in enumerate(self.columns):
            columns.write(part, number, _taken(column, places))

    def write_routing(
        self,
        unfinished: Path,
        clusters: NDArray[np.int32],
        owners: NDArray[np.int64],
        count: int,
    ) -> None:
        """Write what gateways need: how many texts of each cluster have each value.

        Args:
            unfinished: the generation's directory.
            clusters: (t,) the cluster of each text.
            owners: (t,) the place of the document of each.
            count: how many clusters.
        """
        sizes = np.bincount(clusters, minlength=count).astype(np.uint32)
        np.save(unfinished / CLUSTER_SIZES, sizes, allow_pickle=False)
        counts, told = [], []
        for number in range(len(self.fields)):
            listed, values = self._listed(number)
            told.append(listed)
            column = _taken(Column(values, self.columns[number].counts), owners)
            values, own = column.values, np.repeat(clusters, column.counts)
            # A document with several values in one bin counts as several: it is a bound.
            pairs, many = np.unique(_pairs(values, own), return_counts=True)
            rows = np.empty(len(pairs), COUNTS)
            rows["field"], rows["value"], rows["cluster"] = number, pairs["value"], pairs["cluster"]
            rows["count"] = many
            counts.append(rows)
        np.save(unfinished / FILTER_COUNTS, np.concatenate(counts), allow_pickle=False)
        (unfinished / FILTER_VALUES).write_bytes(msgspec.json.encode(told) + b"\n")

    def label(self, number: int, value: float) -> str | float | bool:
        """A stored value as callers write it."""
        match self.fields[number].kind:
            case "keyword":
                return self._words[number][int(value)]
            case "boolean":
                return bool(value)
        return int(value) if float(value).is_integer() else float(value)

    def _listed(self, number: int) -> tuple[Listed, NDArray[np.uint64]]:
        """What callers are told of a field, and the value, or bin, of each of its values."""
        column = self.columns[number]
        distinct, place, many = np.unique(column.values, return_inverse=True, return_counts=True)
        first = np.argsort(-many, kind="stable")[:TOLD]
        common = tuple(
            (self.label(number, one), int(count))
            for one, count in zip(distinct[first].tolist(), many[first].tolist(), strict=True)
        )
        documents = int(np.count_nonzero(column.counts))
        if self.fields[number].kind == "keyword":
            return Listed(documents, len(distinct), common), column.values
        edges = np.arange(len(distinct))
        if len(distinct) > BINS:  # about as many values in each
            passed = np.cumsum(many) - many
            edges = np.unique(passed * BINS // len(column.values), return_index=True)[1]
        ends = np.append(edges[1:], len(distinct)) - 1
        of_value = np.searchsorted(edges, np.arange(len(distinct)), side="right") - 1
        listed = Listed(
            documents,
            len(distinct),
            common,
            tuple(distinct[edges].tolist()),
            tuple(distinct[ends].tolist()),
        )
        return listed, of_value[place].astype(np.uint64)


def _taken(column: Column, places: NDArray[np.int64]) -> Column:
    counts = column.counts[places].astype(np.int64)
    begins = np.cumsum(column.counts, dtype=np.int64) - column.counts
    ends = np.cumsum(counts)
    at = np.arange(ends[-1] if len(ends) else 0) + np.repeat(begins[places] - ends + counts, counts)
    return Column(column.values[at], column.counts[places])


def _pairs(values: NDArray[np.uint64], clusters: NDArray[np.int32]) -> NDArray[Any]:
    pairs = np.empty(len(values), [("value", "<u8"), ("cluster", "<u4")])
    pairs["value"], pairs["cluster"] = values, clusters
    return pairs

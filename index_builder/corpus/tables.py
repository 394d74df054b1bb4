"""Rows of cells under a header, from any kind of table, as records."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson

from app.errors import CorpusError
from index_builder.corpus.bad_lines import Fault, Reason
from index_builder.corpus.document import JSON
from index_builder.corpus.json_records import parse_value
from index_builder.corpus.names import IDS, PAIR, TEXTS, Chosen, Names, check_columns

_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")

KNOWN = frozenset((*TEXTS, *PAIR, *IDS, "answer", "metadata"))

Rows = Iterator[tuple[int, list[str] | Fault]]
Record = dict[str, JSON]


def records(path: Path, rows: Rows, names: Names) -> Iterator[tuple[int, Record | Fault]]:
    """Yield (line, record or fault) of the rows under the first that is not blank.

    Columns without a name are left out, and so are empty cells: spreadsheets write both, and leave
    out the empty cells at the end of a row.

    Raises: CorpusError where the header names no text.
    """
    header: list[str] | None = None
    for line, row in rows:
        if isinstance(row, Fault):
            yield line, row
        elif not any(cell.strip() for cell in row):
            continue
        elif header is None:
            header = _header(path, row)
            check_columns(path, names, tuple(filter(None, header)))
        else:
            yield line, _record(header, row)


def with_metadata(record: Record, chosen: Chosen) -> Record | Fault:
    """The fields of a row, other columns joined to its metadata.

    Text in the column `metadata` is read as JSON.
    """
    metadata: Record = {}
    given = record.get(chosen.metadata) if chosen.metadata else None
    if isinstance(given, str):
        value = parse_value(given)
        if isinstance(value, Fault):
            return Fault(value.reason, f"column metadata: {value.detail}")
        given = value
    if given is not None:
        if not isinstance(given, dict):
            return Fault(Reason.BAD_TYPE, "column metadata holds no JSON object")
        metadata |= given
    metadata |= {name: cell for name, cell in record.items() if name not in chosen.used}
    kept = {name: record[name] for name in chosen.used if name in record}
    return {**kept, chosen.metadata or "metadata": metadata}


def plain(value: object) -> JSON:
    """A cell of a typed table as JSON has it: dates and other types as strings."""
    try:
        found: JSON = orjson.loads(orjson.dumps(value, default=str))
    except TypeError:
        return str(value)
    return found


def _header(path: Path, row: list[str]) -> list[str]:
    if any(_ESCAPED_BYTE.search(cell) for cell in row):
        raise CorpusError(f"{path}: its first line, the names of the columns, is broken UTF-8")
    header = [cell.strip() for cell in row]
    known = [cell.lower() if cell.lower() in KNOWN else cell for cell in header]
    twice = [name for name, count in Counter(known).items() if count > 1 and name]
    if twice:
        raise CorpusError(f"{path}: column {twice[0]!r} is there twice")
    return header


def _record(header: list[str], row: list[str]) -> Record | Fault:
    if any(cell.strip() for cell in row[len(header) :]):
        return Fault(Reason.BAD_ROW, f"{len(row)} cells under {len(header)} columns")
    record: Record = {}
    for name, cell in zip(header, row, strict=False):  # a row may be cut short
        if not cell.isascii() and _ESCAPED_BYTE.search(cell):
            return Fault(Reason.BAD_UTF8, f"column {name}")
        if name and cell:
            record[name] = cell
    return record

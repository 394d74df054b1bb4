"""One reader per file format; each yields (line, document or fault) in the order of the file."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import orjson

from app.errors import CorpusError
from index_builder.corpus.bad_lines import Fault, Reason
from index_builder.corpus.document import JSON, Document
from index_builder.corpus.fields import document_of
from index_builder.corpus.json_values import read_json
from index_builder.corpus.lines import MAX_LINE, numbered_lines

_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
FIELDS = ("id", "text", "answer", "metadata")

Outcome: TypeAlias = tuple[int, Document | Fault]
Lines: TypeAlias = Iterator[tuple[int, bytes]]
OnBytes: TypeAlias = Callable[[int], object]


def read_file(
    path: Path, ignored: Counter[str] | None = None, on_bytes: OnBytes = lambda _: None
) -> Iterator[Outcome]:
    """Read one corpus file in the format that its name says.

    Blank lines are skipped. Documents without an id are named after their text.

    Args:
        path: `.jsonl` or `.ndjson`, `.csv`, `.tsv`, `.txt`; each also with `.gz` behind it.
        ignored: Counts keys of JSON lines that no field has.
        on_bytes: Told how many more bytes have been read.

    Raises:
        CorpusError: An unknown name, an unreadable file, a table without a column `text`.
    """
    suffix = format_of(path)
    lines = numbered_lines(path, on_bytes)
    if suffix in (".csv", ".tsv"):
        return _table(path, lines, "," if suffix == ".csv" else "\t")
    if suffix == ".txt":
        return _text(lines)
    return _json_lines(lines, Counter() if ignored is None else ignored)


def format_of(path: Path) -> str:
    """The suffix that decides how a file is read, without `.gz`; CorpusError if it is unknown."""
    name = path.name.lower().removesuffix(".gz")
    suffix = Path(name).suffix
    if suffix not in (".jsonl", ".ndjson", ".csv", ".tsv", ".txt"):
        raise CorpusError(
            f"{path}: unknown kind of corpus; name it .jsonl, .ndjson, .csv, .tsv or .txt"
            " (.gz may follow)"
        )
    return suffix


def _text(lines: Lines) -> Iterator[Outcome]:
    for number, line in lines:
        if not line.strip():
            continue
        try:
            yield number, document_of({"text": line.decode()})
        except UnicodeDecodeError as error:
            yield number, _broken_utf8(error)


def _json_lines(lines: Lines, ignored: Counter[str]) -> Iterator[Outcome]:
    known = frozenset((*FIELDS, "_id"))
    for number, line in lines:
        if not line.strip():
            continue
        try:
            fields = read_json(line)
        except orjson.JSONDecodeError as error:
            yield number, _broken_json(line, error)
            continue
        if not isinstance(fields, dict):
            yield number, Fault(Reason.BAD_TYPE, "the line is no JSON object")
            continue
        if not fields.keys() <= known:
            ignored.update(fields.keys() - known)
        yield number, document_of(fields)


def _broken_json(line: bytes, error: orjson.JSONDecodeError) -> Fault:
    if len(line) == MAX_LINE:
        return Fault(Reason.TOO_LONG, f"the line has over {MAX_LINE:,} bytes")
    try:
        line.decode()
    except UnicodeDecodeError as broken:
        return _broken_utf8(broken)
    return Fault(Reason.BAD_JSON, f"{error.msg}, column {error.colno}")


def _broken_utf8(error: UnicodeDecodeError) -> Fault:
    return Fault(Reason.BAD_UTF8, f"byte {error.start + 1} is 0x{error.object[error.start]:02x}")


def _table(path: Path, lines: Lines, delimiter: str) -> Iterator[Outcome]:
    """CSV as RFC 4180 has it: a field in quotes may span lines, a row is named by its first."""
    # Bytes that are no UTF-8 pass through the parser as surrogates: one bad cell, not a lost file.
    rows = csv.reader(
        (line.decode(errors="surrogateescape") for _, line in lines),
        delimiter=delimiter,
        strict=True,
    )
    header: list[str] | None = None
    while True:
        first = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            lost = Fault(Reason.BAD_ROW, f"{error}; the row begins at line {first}")
            yield from ((number, lost) for number in range(first, rows.line_num + 1))
            continue
        if not any(cell.strip() for cell in row):
            continue
        if header is None:
            header = _header(path, row)
            continue
        yield first, _row(header, row)


def _header(path: Path, row: list[str]) -> list[str]:
    if any(_ESCAPED_BYTE.search(cell) for cell in row):
        raise CorpusError(f"{path}: its first line, the names of the columns, is broken UTF-8")
    header = [cell.strip() for cell in row]
    header = [cell.lower() if cell.lower() in FIELDS else cell for cell in header]
    if "text" not in header:
        shown = ", ".join(repr(cell[:40]) for cell in header[:10])
        raise CorpusError(
            f"{path}: no column `text`; its first line must name columns, it has {shown}"
        )
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise CorpusError(f"{path}: column {twice[0]!r} is there twice")
    return header


def _row(header: list[str], row: list[str]) -> Document | Fault:
    if len(row) != len(header):
        return Fault(Reason.BAD_ROW, f"{len(row)} cells under {len(header)} columns")
    for name, cell in zip(header, row, strict=True):
        if not cell.isascii() and _ESCAPED_BYTE.search(cell):
            return Fault(Reason.BAD_UTF8, f"column {name}")
    cells: dict[str, JSON] = {name: cell for name, cell in zip(header, row, strict=True) if cell}
    metadata: dict[str, JSON] = {}
    if "metadata" in cells:
        try:
            given = read_json(str(cells["metadata"]))
        except orjson.JSONDecodeError as error:
            return Fault(Reason.BAD_JSON, f"column metadata: {error.msg}")
        if not isinstance(given, dict):
            return Fault(Reason.BAD_TYPE, "column metadata holds no JSON object")
        metadata |= given
    metadata |= {name: cell for name, cell in cells.items() if name and name not in FIELDS}
    return document_of({**cells, "metadata": metadata})

"""Records of a table in text: which lines belong together, however long, and their cells."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import chain

from index_builder.corpus.bad_lines import Fault, Reason
from index_builder.corpus.lines import MAX_LINE, Lines
from index_builder.corpus.names import Names, choose

DELIMITERS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)

# For the whole process; a record that is parsed is no longer, so that no cell meets this limit.
csv.field_size_limit(MAX_LINE)


class _At(Enum):
    START = auto()  # of a cell
    PLAIN = auto()
    QUOTED = auto()
    CLOSED = auto()  # behind a quote: the cell's end, or half of a doubled one


@dataclass(slots=True)
class _Record:
    """Lines `first` to `last`; `lines` is empty where they are too long together."""

    first: int
    last: int
    closed: bool = False
    size: int = 0
    lines: list[str] = field(default_factory=list)


def rows(lines: Lines, delimiter: str, *, quoted: bool) -> Iterator[tuple[int, list[str] | Fault]]:
    """Yield (first line, cells or fault), as RFC 4180 has it; a cell in quotes may span lines.

    A record is delimited before it is parsed: a bad one costs its own lines. A record that is too
    long costs its first, and memory is bounded by `MAX_LINE` characters.
    """
    for record in _records(lines, delimiter, quoted=quoted):
        if not record.lines and record.closed:
            yield record.first, Fault(Reason.TOO_LONG, f"the row has over {MAX_LINE:,} characters")
            continue
        if not record.lines:
            yield from _lost(record, "a quote is never closed")
            continue
        reader = csv.reader(
            record.lines,
            delimiter=delimiter,
            quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
            skipinitialspace=quoted,
            strict=True,
        )
        try:
            yield record.first, next(reader)
        except csv.Error as error:
            yield from _lost(record, str(error))


def _lost(record: _Record, why: str) -> Iterator[tuple[int, Fault]]:
    fault = Fault(Reason.BAD_ROW, f"{why}; the row begins at line {record.first}")
    return ((number, fault) for number in range(record.first, record.last + 1))


def _records(lines: Lines, delimiter: str, *, quoted: bool) -> Iterator[_Record]:
    record: _Record | None = None
    at = _At.START
    for number, piece in lines:
        record = record or _Record(number, number)
        record.last = number
        record.size += len(piece)
        if record.size <= MAX_LINE:
            record.lines.append(piece)
        else:
            record.lines.clear()
        if quoted:
            at = _after(at, piece, delimiter)
        if piece.endswith(("\n", "\r")) and at is not _At.QUOTED:
            record.closed = True
            yield record
            record, at = None, _At.START
    if record is not None:
        record.closed = at is not _At.QUOTED
        yield record


def _after(at: _At, piece: str, delimiter: str) -> _At:
    """Where in a record a reader is after a line, or a piece of one."""
    if at is _At.START and '"' not in piece:
        return _At.START if piece.endswith(delimiter) else _At.PLAIN
    place = 0
    while place < len(piece):
        match at:
            case _At.QUOTED:
                place = piece.find('"', place) + 1
                if not place:
                    return at
                at = _At.CLOSED
            case _At.CLOSED:
                known = {'"': _At.QUOTED, delimiter: _At.START}
                at = known.get(piece[place], _At.PLAIN)
                place += 1
            case _At.START:
                if piece[place] == '"':
                    at = _At.QUOTED
                elif piece[place] not in (" ", delimiter):
                    at = _At.PLAIN
                place += 1
            case _At.PLAIN:
                place = piece.find(delimiter, place) + 1
                if not place:
                    return at
                at = _At.START
    return at


def delimited(lines: Lines, names: Names, *, quoted: bool) -> tuple[str, Lines]:
    """The delimiter of a `.csv`, by a line `sep=;` or by its header; and the lines of the table.

    Of the usual delimiters the one under which the header names a text and has most columns.
    """
    for number, line in lines:
        if not line.strip():
            continue
        if told := _SEPARATOR_LINE.fullmatch(line):
            return told[1], lines
        best = max(DELIMITERS, key=lambda each: _fit(line, each, names, quoted=quoted))
        return best, chain([(number, line)], lines)
    return ",", lines


def _fit(line: str, delimiter: str, names: Names, *, quoted: bool) -> tuple[bool, int]:
    _, cells = next(rows(iter([(1, line)]), delimiter, quoted=quoted))
    if isinstance(cells, Fault):
        return False, 0
    columns = tuple(cell.strip() for cell in cells)
    return choose(columns, names) is not None, len(columns)

"""JSON, a record a line or an array of records, one record in memory at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from app.errors import CorpusError
from index_builder.corpus.bad_lines import Fault, Reason
from index_builder.corpus.document import JSON
from index_builder.corpus.lines import MAX_LINE, Lines

_MARK = re.compile(r'["{}\[\],]')
_IN_STRING = re.compile(r'["\\]')
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
_LONG_NUMBER = re.compile(r"\d{19}")


def parse(text: str) -> dict[str, JSON] | Fault:
    """One record, or what is wrong with it."""
    found = parse_value(text)
    if isinstance(found, Fault | dict):
        return found
    return Fault(Reason.BAD_TYPE, "it is no JSON object")


def parse_value(text: str) -> JSON | Fault:
    """One value. A whole number that 64 bits cannot hold is a fault: it would come back changed."""
    try:
        value: JSON = orjson.loads(text)
        if _LONG_NUMBER.search(text):
            json.loads(text, parse_int=_int64)
    except orjson.JSONDecodeError as error:
        return broken_utf8(text) or Fault(Reason.BAD_JSON, f"{error.msg}, column {error.colno}")
    except RecursionError:  # Python's parser; orjson goes deeper
        return Fault(Reason.BAD_JSON, "nested too deep")
    except OverflowError as error:
        return Fault(Reason.BAD_TYPE, str(error))
    return value


def broken_utf8(line: str) -> Fault | None:
    """The first byte of a line that was no UTF-8, or None."""
    found = None if line.isascii() else _ESCAPED_BYTE.search(line)
    if found is None:
        return None
    place = len(line[: found.start()].encode(errors="surrogateescape")) + 1
    return Fault(Reason.BAD_UTF8, f"byte {place} is 0x{ord(found[0]) - 0xDC00:02x}")


def too_long() -> Fault:
    """A record over `MAX_LINE`."""
    return Fault(Reason.TOO_LONG, f"the line or record has over {MAX_LINE:,} characters")


def _int64(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**64:
        raise OverflowError(
            f"a whole number of {len(digits)} digits is over 64 bits; write it as a string"
        )
    return int(digits)


def json_lines(lines: Lines) -> Iterator[tuple[int, dict[str, JSON] | Fault]]:
    """Yield (line, record or fault)."""
    for number, line in lines:
        if line.strip():
            yield number, too_long() if len(line) == MAX_LINE else parse(line)


@dataclass(slots=True)
class _Elements:
    """Cuts text into the elements of an array, or into the objects that follow one another."""

    inside: bool | None = None  # of an array; None before the first character
    depth: int = 0
    in_string: bool = False
    escaped: bool = False
    line: int = 0
    size: int = 0
    parts: list[str] = field(default_factory=list)

    def feed(self, number: int, piece: str) -> Iterator[tuple[int, str | None]]:
        """Yield (line, text) of each element that ends here; None for one that is too long."""
        start = place = 0
        if self.inside is None and piece.strip():
            self.inside = piece.lstrip()[0] == "["
            if self.inside:
                start = place = piece.index("[") + 1
        while found := self._next(piece, place):
            place = found.end()
            mark = found[0]
            if self.in_string:
                self.in_string = mark != '"'
                self.escaped = mark == "\\"
                continue
            self.in_string = mark == '"'
            if mark in "{[":
                self.depth += 1
            ends = self.depth == 0 and self.inside and mark in ",]"
            if mark in "}]":
                self.depth -= 1
            closes = mark == "}" and self.depth == 0 and not self.inside
            if ends or closes:
                self._keep(number, piece[start : found.start() if ends else place])
                start = place
                yield from self.take()
        self._keep(number, piece[start:])
        if piece.endswith(("\n", "\r")):
            self.in_string = self.escaped = False  # a string of JSON never spans lines

    def _next(self, piece: str, place: int) -> re.Match[str] | None:
        if self.escaped and place < len(piece):
            self.escaped, place = False, place + 1
        return (_IN_STRING if self.in_string else _MARK).search(piece, place)

    def _keep(self, number: int, text: str) -> None:
        if not self.size:
            text = text.lstrip()
            if not text:
                return
            self.line = number
        self.size += len(text)
        if self.size <= MAX_LINE:
            self.parts.append(text)
        else:
            self.parts.clear()

    def take(self) -> Iterator[tuple[int, str | None]]:
        """Yield what has been kept, if anything."""
        text, size = "".join(self.parts), self.size
        self.parts, self.size = [], 0
        if size > MAX_LINE:
            yield self.line, None
        elif text.strip():
            yield self.line, text

    @property
    def whole(self) -> bool:
        """Whether every bracket that was opened is closed."""
        return self.inside is None or self.depth == (-1 if self.inside else 0)


def json_values(path: Path, pieces: Lines) -> Iterator[tuple[int, dict[str, JSON] | Fault]]:
    """Yield (first line, record or fault) of an array of objects, or of objects in a row.

    Raises: CorpusError where a bracket stays open: who knows what that swallowed.
    """
    elements = _Elements()
    for number, piece in pieces:
        for line, text in elements.feed(number, piece):
            yield line, too_long() if text is None else parse(text)
    if not elements.whole:
        raise CorpusError(
            f"{path}: a bracket of the record at line {elements.line} is never closed; "
            "the file is damaged, or was cut short"
        )
    for line, text in elements.take():
        yield line, too_long() if text is None else parse(text)

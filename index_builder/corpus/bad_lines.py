"""Lines of a corpus that cannot be used: counted by reason, listed with file and line."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import TextIO

LISTED = 20
"""Lines kept in memory per reason; the file beside the documents lists all."""


class Reason(StrEnum):
    """Why a line was left out; the value is what a person reads."""

    NO_TEXT = "no text"
    TOO_LONG = "too long"
    DUPLICATE_ID = "duplicate id"
    BAD_UTF8 = "broken UTF-8"
    BAD_JSON = "invalid JSON"
    BAD_ROW = "broken row"
    BAD_TYPE = "wrong type"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one line; `detail` says which part of it, where that helps."""

    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class BadLine:
    """One unusable line; lines count from 1, and a row of several lines has its first."""

    file: str
    line: int
    reason: Reason
    detail: str = ""

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.file}:{self.line}: {self.reason}{detail}"


@dataclass(slots=True)
class BadLines:
    """All bad lines of one reading; use it as a context manager to have them written as well.

    Attributes:
        path: The list of all: tab-separated file, line, reason, detail, under a header.
        counts: Lines per reason.
        listed: The first `LISTED` lines of every reason, in the order they were met.
    """

    path: Path
    counts: Counter[Reason] = field(default_factory=Counter)
    listed: list[BadLine] = field(default_factory=list)
    _file: TextIO | None = None

    def __enter__(self) -> BadLines:
        self._file = self.path.open("w", encoding="utf-8")
        self._file.write("file\tline\treason\tdetail\n")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, bad: BadLine) -> None:
        """Count one line, and list it."""
        self.counts[bad.reason] += 1
        if self.counts[bad.reason] <= LISTED:
            self.listed.append(bad)
        if self._file is not None:
            cells = (bad.file, str(bad.line), bad.reason.value, bad.detail)
            self._file.write("\t".join(" ".join(cell.split()) for cell in cells) + "\n")

    @property
    def total(self) -> int:
        """Bad lines in all."""
        return self.counts.total()

    def summary(self) -> str:
        """`3 no text, 1 duplicate id`, most frequent first."""
        return ", ".join(f"{count:,} {reason}" for reason, count in self.counts.most_common())

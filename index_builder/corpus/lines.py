"""Bytes of a corpus file as numbered lines, gzip and byte order mark dealt with."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from app.errors import CorpusError

MAX_LINE = 1 << 20
"""Longest line in bytes; what is beyond it is dropped, and the line is found too long."""
_REPORT_EVERY = 4096


def numbered_lines(
    path: Path, on_bytes: Callable[[int], object] = lambda _: None
) -> Iterator[tuple[int, bytes]]:
    r"""Yield (line number from 1, line with its line end), at most `MAX_LINE` bytes of each.

    Args:
        path: The file; a name ending in `.gz` is unpacked on the way.
        on_bytes: Told now and then how many more bytes of the file (as stored) have been read.

    Raises:
        CorpusError: The file is missing, unreadable, damaged gzip or UTF-16.
    """
    try:
        with path.open("rb") as stored:
            told = 0
            stream = _unpacked(path, stored)
            for number, line in enumerate(iter(lambda: stream.readline(MAX_LINE), b""), start=1):
                if len(line) == MAX_LINE and not line.endswith(b"\n"):
                    _skip_rest(stream)
                if number == 1:
                    line = _without_mark(path, line)
                if number % _REPORT_EVERY == 0:
                    on_bytes(stored.tell() - told)
                    told = stored.tell()
                yield number, line
            on_bytes(stored.tell() - told)
    except FileNotFoundError as error:
        raise CorpusError(f"{path}: no such file") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CorpusError(f"{path}: damaged gzip file: {error}") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}") from error


def _unpacked(path: Path, stored: io.BufferedReader) -> io.BufferedReader:
    if path.suffix.lower() != ".gz":
        return stored
    return io.BufferedReader(gzip.GzipFile(fileobj=stored, mode="rb"), 1 << 17)


def _skip_rest(stream: io.BufferedReader) -> None:
    while (rest := stream.readline(MAX_LINE)) and not rest.endswith(b"\n"):
        pass


def _without_mark(path: Path, line: bytes) -> bytes:
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise CorpusError(f"{path}: is UTF-16; save it as UTF-8")
    return line.removeprefix(codecs.BOM_UTF8)

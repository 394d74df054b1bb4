"""A corpus file as numbered lines of text: unpacked, decoded, any kind of line end."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from app.errors import CorpusError
from index_builder.corpus.optional import optional
from index_builder.corpus.reading import Seen

MAX_LINE = 1 << 20
"""Longest line, and longest record, in characters; a longer one is left out."""
PACKED = {".gz": "gzip", ".bz2": "bzip2", ".zst": "Zstandard"}
_REPORT_EVERY = 4096

OnBytes = Callable[[int], object]
Lines = Iterator[tuple[int, str]]


def numbered_lines(path: Path, seen: Seen, on_bytes: OnBytes = lambda _: None) -> Lines:
    r"""Yield (line number from 1, line with its line end), at most `MAX_LINE` characters of each.

    Args and errors: as for `numbered_pieces`.
    """
    before = 0
    for number, piece in numbered_pieces(path, seen, on_bytes):
        if number != before:
            yield number, piece
        before = number


def numbered_pieces(path: Path, seen: Seen, on_bytes: OnBytes = lambda _: None) -> Lines:
    r"""Yield (line number from 1, line with its line end); lines end at \n, \r\n or \r.

    A line over `MAX_LINE` characters comes in pieces under one number. Bytes that are no UTF-8
    become lone surrogates, as `surrogateescape` has it.

    Args:
        path: The file; a name ending in `.gz`, `.bz2` or `.zst` is unpacked on the way.
        seen: Gets a note of an encoding that is not UTF-8.
        on_bytes: Gets now and then how many more bytes of the file (as stored) have been read.

    Raises:
        CorpusError: The file is missing, unreadable, damaged, or UTF-16 without a mark.
    """
    damaged: tuple[type[Exception], ...] = (EOFError, zlib.error, gzip.BadGzipFile)
    packed = path.suffix.lower()
    if packed == ".zst":
        damaged = (*damaged, optional("backports.zstd", "backports.zstd", path).ZstdError)
    try:
        with path.open("rb") as stored:
            reported, number = 0, 1
            stream = _decoded(path, _unpacked(path, packed, stored), seen)
            for count, piece in enumerate(iter(lambda: stream.readline(MAX_LINE), "")):
                yield number, piece
                number += piece.endswith(("\n", "\r"))
                if count % _REPORT_EVERY == 0:
                    on_bytes(stored.tell() - reported)
                    reported = stored.tell()
            on_bytes(stored.tell() - reported)
    except FileNotFoundError as error:
        raise CorpusError(f"{path}: no such file") from error
    except damaged as error:
        raise CorpusError(f"{path}: damaged {PACKED.get(packed, '')} file: {error}") from error
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: damaged {error.encoding}: {error.reason}") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}") from error


def _unpacked(path: Path, packed: str, stored: io.BufferedReader) -> io.BufferedReader:
    stream: IO[bytes] | Any
    match packed:
        case ".gz":
            stream = gzip.GzipFile(fileobj=stored, mode="rb")
        case ".bz2":
            stream = bz2.BZ2File(stored)
        case ".zst":
            stream = optional("backports.zstd", "backports.zstd", path).ZstdFile(stored)
        case _:
            return stored
    return io.BufferedReader(stream, 1 << 17)


def _decoded(path: Path, stream: io.BufferedReader, seen: Seen) -> io.TextIOWrapper:
    start = stream.peek(4)[:4]
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise CorpusError(f"{path}: is UTF-32; save it as UTF-8")
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        seen.kind.append("UTF-16")
        return io.TextIOWrapper(stream, "utf-16", newline="")
    if b"\x00" in start:
        raise CorpusError(f"{path}: is no text, or UTF-16 without its mark; save it as UTF-8")
    return io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")

"""The documents of one shard, each with its part of an answer as it will be sent: documents.bin.

All numbers are little-endian. Row i of the index is record i here::

    magic      8 bytes, the format and its version
    count      u64, records
    end        u64, where the records end
    records    {"ordinal":7,"id":"a","text":"…","answer":null,"metadata":null,"score":  and CRC-32
    starts     u64 for each block of 64 records: where its first one begins
    places     u32 for each block: where its records begin, and where the last one ends, from there

A record lacks its score and a brace. Numbers within a block are small and from its start, so that
a document that comes or goes changes few bytes of these tables (decision 34).
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from app.errors import GenerationError
from app.generation.rows import Row, record_of

MAGIC = b"ASKDOC\x00\x01"
BLOCK = 64
# Blocks whose tables are checked together.
BATCH = 1000
# The CRC-32 of anything that is followed by its own, little-endian.
WHOLE = 0x2144DF1C
_HEADER = struct.Struct("<8sQQ")
_PLACES = struct.Struct("<II")


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write a new file as the documents come; the same give the same bytes.

    Raises: GenerationError when 64 documents take over 4 GiB.
    """
    starts, places, count = array("Q"), array("I"), 0
    with path.open("wb") as file:
        file.write(bytes(_HEADER.size))
        end = _HEADER.size
        for count, row in enumerate(rows, 1):
            if count % BLOCK == 1:
                starts.append(end)
                places.append(0)
            record = record_of(row)
            end += file.write(record + crc32(record).to_bytes(4, "little"))
            if end - starts[-1] >= 1 << 32:
                raise GenerationError(f"{path}: documents {count - BLOCK} to {count} take 4 GiB")
            places.append(end - starts[-1])
        file.write(np.array(starts, "<u8").tobytes())
        file.write(np.array(places, "<u4").tobytes())
        file.seek(0)
        file.write(_HEADER.pack(MAGIC, count, end))


class Documents:
    """Read access to a ``documents.bin``.

    It is read by ``pread``, not mapped: the end of a mapped file that is cut short kills the
    process. It stays open, so that a file that is removed or replaced is read as it was.

    Raises: GenerationError when the file is none, or damaged where that can be seen.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            size = os.fstat(self._file).st_size
        except OSError as error:
            raise GenerationError(f"{path} is not a document store: {error.strerror}") from error
        magic, self.count, end = _HEADER.unpack(self._read(_HEADER.size, 0))
        blocks = -(-self.count // BLOCK)
        self._table = end + 8 * blocks
        if magic != MAGIC or size != self._table + 4 * (self.count + blocks):
            raise GenerationError(f"{path} is not a document store of this release")
        starts = np.frombuffer(self._read(8 * blocks, end), "<u8").astype(np.int64)
        self._check(np.append(starts, end))
        self._starts: list[int] = starts.tolist()

    def __del__(self) -> None:
        if self._file >= 0:
            os.close(self._file)

    def _check(self, starts: NDArray[np.int64]) -> None:
        """Whether records follow one another without a gap, from the header to the tables."""
        sound = starts[0] == _HEADER.size
        for first in range(0, len(starts) - 1, BATCH):
            here = starts[first : first + BATCH + 1]
            rows = min(self.count - first * BLOCK, BATCH * BLOCK)
            table = np.zeros((len(here) - 1, BLOCK + 1), np.int64)
            size = 4 * (rows + len(table))
            data = self._read(size, self._table + 4 * first * (BLOCK + 1))
            table.ravel()[: size // 4] = np.frombuffer(data, "<u4")
            last = (rows - 1) % BLOCK + 1
            table[-1, last:] = table[-1, last] + np.arange(BLOCK + 1 - last)
            lengths = here[1:] - here[:-1]
            lengths[-1] += BLOCK - last
            sound = sound and bool(
                (table[:, 0] == 0).all()
                and (np.diff(table) > 0).all()
                and (table[:, -1] == lengths).all()
            )
        if not sound:
            raise GenerationError(f"{self._path} is damaged: its records do not follow one another")

    def _read(self, size: int, at: int) -> bytes:
        try:
            data = os.pread(self._file, size, at)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", "an offset is out of range")
            raise GenerationError(f"{self._path} cannot be read: {reason}") from error
        if len(data) != size:
            raise GenerationError(f"{self._path} cannot be read: it ends too early")
        return data

    def fetch(self, rows: Sequence[int]) -> list[bytes]:
        """The records of these rows; raises GenerationError where the file is damaged."""
        found = []
        try:
            for row in rows:
                if not 0 <= row < self.count:
                    raise GenerationError(f"{self._path} has no document {row}")
                block = row // BLOCK
                at = os.pread(self._file, 8, self._table + 4 * (row + block))
                start, end = _PLACES.unpack(at)
                record = os.pread(self._file, end - start, self._starts[block] + start)
                if crc32(record) != WHOLE:  # one that is cut short, too
                    raise GenerationError(f"{self._path} is damaged at document {row}")
                found.append(record[:-4])
        except OSError as error:
            raise GenerationError(f"{self._path} cannot be read: {error.strerror}") from error
        except struct.error as error:
            raise GenerationError(f"{self._path} cannot be read: it ends too early") from error
        return found

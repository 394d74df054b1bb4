"""Vectors on disk as they are computed, chunk by chunk, surviving an interruption."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

import numpy as np
import orjson
from numpy.typing import NDArray

from app.errors import EmbedError

VECTORS, DONE, STATE = "vectors.f32", "done", "state.json"


class VectorFile:
    """A (count, dim) float32 matrix, its rows written in chunks of `chunk` rows, in any order.

    A context manager; one process at a time may hold it, but others may write rows (`write_rows`).
    Files: `vectors.f32` the matrix, row-major little-endian; `done` one byte per chunk, 1 once its
    rows are safe on disk; `state.json` the shape. Entering finds out what an earlier run has left.

    Raises:
        EmbedError: Another process holds it, or the disk is too small.
    """

    def __init__(self, directory: Path, *, count: int, dim: int, chunk: int) -> None:
        self.directory, self.count, self.dim, self.chunk = directory, count, dim, chunk
        self.chunks = -(-count // chunk)
        self._done = bytearray(self.chunks)

    def __enter__(self) -> VectorFile:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._open()
        except BlockingIOError as error:
            os.close(self._lock)
            raise EmbedError(f"{self.directory}: another build is encoding here") from error
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.checkpoint()
        os.close(self._lock)

    def _open(self) -> None:
        state = {"schema": 1, "count": self.count, "dim": self.dim, "chunk": self.chunk}
        vectors, done = self.directory / VECTORS, self.directory / DONE
        size = self.count * self.dim * 4
        try:
            known = orjson.loads((self.directory / STATE).read_bytes()) == state
            if known and vectors.stat().st_size == size and done.stat().st_size == self.chunks:
                self._done = bytearray(done.read_bytes())
                return
        except (FileNotFoundError, orjson.JSONDecodeError):
            pass
        done.unlink(missing_ok=True)
        with vectors.open("wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                raise EmbedError(
                    f"{vectors}: needs {size / 1e9:.1f} GB of disk: {error.strerror}"
                ) from error
        _replace(self.directory / STATE, orjson.dumps(state))
        _replace(done, bytes(self._done))

    @property
    def missing(self) -> list[int]:
        """Chunks that have not been written yet."""
        return [chunk for chunk, done in enumerate(self._done) if not done]

    @property
    def rows_done(self) -> int:
        """Rows of the chunks that have been written."""
        return self.count - sum(stop - start for start, stop in map(self.rows, self.missing))

    def rows(self, chunk: int) -> tuple[int, int]:
        """First row of a chunk, and the one after its last."""
        return chunk * self.chunk, min((chunk + 1) * self.chunk, self.count)

    def mark(self, chunk: int) -> None:
        """Note that a chunk's rows are written; they count after a crash from `checkpoint` on."""
        self._done[chunk] = 1

    def checkpoint(self) -> None:
        """Make what is marked last: first the rows reach the disk, then the marks."""
        with (self.directory / VECTORS).open("rb") as file:
            os.fsync(file.fileno())
        _replace(self.directory / DONE, bytes(self._done))

    def matrix(self) -> NDArray[np.float32]:
        """The whole matrix, (count, dim), memory-mapped, read-only."""
        return np.memmap(
            self.directory / VECTORS, dtype="<f4", mode="r", shape=(self.count, self.dim)
        )


def write_rows(directory: Path, start: int, rows: NDArray[np.float32]) -> None:
    """Write rows `start`… of the matrix in `directory`; safe from several processes."""
    data = memoryview(rows.astype("<f4").tobytes())
    offset = start * rows.shape[1] * 4
    descriptor = os.open(directory / VECTORS, os.O_WRONLY)
    try:
        while data:
            written = os.pwrite(descriptor, data, offset)
            data, offset = data[written:], offset + written
    finally:
        os.close(descriptor)


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves the old content or the new."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)

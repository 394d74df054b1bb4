"""Vectors on their way to a worker: as such, or as the file that has them."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class InFile:
    """Rows of a float32 matrix in a file that the worker can read.

    Attributes:
        path: the file, which has the matrix row by row.
        shape: of the whole matrix.
        offset: where it begins, in bytes.
        rows: places, or the first and the one after the last.
    """

    path: str
    shape: tuple[int, ...]
    offset: int
    rows: NDArray[np.int64] | slice


Handed: TypeAlias = NDArray[np.float32] | InFile


def handed(vectors: NDArray[np.float32], rows: NDArray[np.int64] | slice, *, files: bool) -> Handed:
    """Some rows of ``vectors`` (n, dim); by file where ``files`` and they are one."""
    if files and isinstance(vectors, np.memmap) and _is_file(vectors):
        return InFile(str(vectors.filename), vectors.shape, vectors.offset, rows)
    return copied(vectors, rows)


def received(block: Handed) -> NDArray[np.float32]:
    """The rows, contiguous, in this process's own memory."""
    if isinstance(block, InFile):
        whole = np.memmap(block.path, dtype="<f4", mode="r", offset=block.offset, shape=block.shape)
        return copied(whole, block.rows)
    return np.ascontiguousarray(block)


def copied(vectors: NDArray[np.float32], rows: NDArray[np.int64] | slice) -> NDArray[np.float32]:
    """Some rows in memory of their own; pages of a file that were read for them are given back."""
    own: NDArray[np.float32] = np.array(vectors[rows], dtype=np.float32, subok=False)
    if (file := _map_of(vectors)) is not None:
        file.madvise(mmap.MADV_DONTNEED)
    return own


def _is_file(vectors: np.memmap[Any, Any]) -> bool:
    """Whether a matrix is one whole map of a file that has a name."""
    ours = vectors.dtype == np.float32 and vectors.flags.c_contiguous
    return ours and vectors.filename is not None and _map_of(vectors) is not None


def _map_of(vectors: NDArray[np.float32]) -> mmap.mmap | None:
    """The map of a matrix that is a whole file."""
    base = vectors.base
    return base if isinstance(base, mmap.mmap) else None

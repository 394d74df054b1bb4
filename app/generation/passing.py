"""Which rows of a shard pass a filter, as FAISS takes it: one bit a row."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray


class Passing:
    """The rows that pass; nothing changes it, so threads may share it.

    Args:
        mask: (n,) whether each row passes.
    """

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self.count = int(np.count_nonzero(mask))
        self.of_all = self.count / max(len(mask), 1)
        self._bits = np.packbits(mask, bitorder="little")
        # FAISS keeps a pointer to the bits, which live as long as this does.
        self.selector: Any = faiss.IDSelectorBitmap(len(mask), faiss.swig_ptr(self._bits))

    def holds(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these rows pass."""
        return np.asarray((self._bits[rows >> 3] >> (rows & 7).astype(np.uint8)) & 1, np.bool_)

"""Merge the shards' nearest documents into one ranking. Pure function."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def merge(ordinals: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Rank candidates by score (higher first), then ordinal; border copies count once.

    Args:
        ordinals: (m,) the documents' places in the corpus; a copy has the original's.
        scores: (m,) inner products; copies of a document have equal scores.
        k: how many to keep.

    Returns: positions of the winners in the input, at most ``k``, best first.
    """
    ranked = np.lexsort((ordinals, -scores))
    _, first = np.unique(ordinals[ranked], return_index=True)
    first.sort()
    return ranked[first[:k]]

"""A least-recently-used cache of vectors: people ask the same questions again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Longer texts are seldom asked twice and would fill memory.
MAX_CHARACTERS = 512


class VectorCache:
    """(model, text) -> vector, at most ``size`` of them; safe for threads.

    It cannot change an answer: the same text has the same vector, bit for bit, cached or not.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[tuple[str, str], NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()
        self._hits = 0
        self._misses = 0

    def get(self, model: str, text: str) -> NDArray[np.float32] | None:
        """The vector (dim,) of a text, or None."""
        key = (model, text)
        with self._lock:
            vector = self._entries.get(key)
            if vector is None:
                self._misses += 1
                return None
            self._hits += 1
            self._entries.move_to_end(key)
            return vector

    def put(self, model: str, text: str, vector: NDArray[np.float32]) -> None:
        """Remember a copy of ``vector``; the entry longest unused makes room."""
        if len(text) > MAX_CHARACTERS or self._size == 0:
            return
        key = (model, text)
        with self._lock:
            self._entries[key] = vector.copy()
            self._entries.move_to_end(key)
            if len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def statistics(self) -> dict[str, Any]:
        """Entries, hits, misses and hit rate (0 to 1; None before the first question)."""
        with self._lock:
            asked = self._hits + self._misses
            return {
                "entries": len(self._entries),
                "hits": self._hits,
                "misses": self._misses,
                "hit_rate": round(self._hits / asked, 4) if asked else None,
            }

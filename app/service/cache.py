"""A least-recently-used cache: people ask the same questions again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# Longer texts are seldom asked twice and would fill memory.
MAX_CHARACTERS = 512


class Cache(Generic[K, V]):
    """Key -> value, safe for threads; the entries longest unused make room.

    Args:
        size: how much all entries may weigh together; 0 keeps nothing.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._weight = 0
        self._lock = threading.Lock()
        self._hits = 0
        self._misses = 0

    def get(self, key: K) -> V | None:
        """What is kept under a key, or None."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                self._misses += 1
                return None
            self._hits += 1
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: K, value: V, weight: int = 1) -> None:
        """Keep a value, which nobody may change from now on."""
        with self._lock:
            _, before = self._entries.pop(key, (None, 0))
            self._entries[key] = (value, weight)
            self._weight += weight - before
            while self._weight > self._size:
                _, (_, gone) = self._entries.popitem(last=False)
                self._weight -= gone

    def clear(self) -> None:
        """Forget everything but the statistics."""
        with self._lock:
            self._entries.clear()
            self._weight = 0

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

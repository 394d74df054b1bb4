"""A shard's index without its withdrawn documents: their rows are looked up once, then left out."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.errors import GenerationError
from app.generation.passing import Passing
from app.generation.rows import BATCH, ENDS, Store
from app.generation.shard_index import Hits, ShardIndex

# So many more than wanted are asked for first; four times as many as long as that is too few.
MORE = 16


class _Named(msgspec.Struct):
    id: str


# Made once: threads that decode a type for the first time at the same moment can crash msgspec.
_NAMED = msgspec.json.Decoder(_Named)


def rows_of(store: Store, ids: frozenset[str]) -> dict[str, list[int]]:
    """The rows of these documents, by id; reads every record, about 3 µs each.

    Raises: GenerationError where a record is damaged.
    """
    found: dict[str, list[int]] = {name: [] for name in ids}
    for start in range(0, store.count, BATCH):
        records = store.fetch(range(start, min(start + BATCH, store.count)))
        for row, record in enumerate(records, start):
            try:
                name = _NAMED.decode(record.removesuffix(ENDS) + b"}").id
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise GenerationError(f"the record of row {row} is damaged") from error
            if name in found:
                found[name].append(row)
    return found


class VisibleIndex:
    """What ``ShardIndex`` finds, as if the hidden rows were not in it.

    Attributes:
        hidden: the rows, for what is found by other ways than the vectors.
        found: the withdrawn documents that are here.
    """

    def __init__(self, index: ShardIndex, store: Store) -> None:
        self._index = index
        self._store = store
        self._rows: dict[str, list[int]] = {}
        self.hidden: frozenset[int] = frozenset()
        self.found: frozenset[str] = frozenset()

    def withdraw(self, ids: frozenset[str]) -> None:
        """Hide the rows of these documents, and of no others; raises GenerationError."""
        unknown = ids - self._rows.keys()
        if unknown:
            self._rows = {**self._rows, **rows_of(self._store, unknown)}
        self.found = frozenset(name for name in ids if self._rows[name])
        self.hidden = frozenset(row for name in ids for row in self._rows[name])

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        wanted: int | None = None,
        passing: Passing | None = None,
    ) -> Hits:
        """As ``ShardIndex.search``; rows are -1 where there are fewer."""
        hidden = self.hidden
        if not hidden:
            return self._index.search(queries, k, wanted, passing)
        rows = np.full((len(queries), k), -1, np.int64)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        for place in range(len(queries)):
            more = min(MORE, len(hidden))
            while True:
                most = None if wanted is None else wanted + more
                hits = self._index.search(queries[place : place + 1], k + more, most, passing)
                found = enumerate(hits.rows[0].tolist())
                kept = [at for at, row in found if row not in hidden][:k]
                if len(kept) == k or more == len(hidden):
                    break
                more = min(4 * more, len(hidden))
            rows[place, : len(kept)] = hits.rows[0][kept]
            scores[place, : len(kept)] = hits.scores[0][kept]
        return Hits(rows, scores)

    def scores(self, query: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """As ``ShardIndex.scores``."""
        return self._index.scores(query, rows)

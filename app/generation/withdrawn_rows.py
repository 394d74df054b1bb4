"""A shard's index without its withdrawn documents: their rows are looked up once, then left out."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.errors import GenerationError
from app.generation.passing import Passing
from app.generation.rows import BATCH, ENDS, Store
from app.generation.shard_index import Hits, ShardIndex

# So many more than as many as are hidden of those that were found would need are asked for; four
# times as many as long as that is too few.
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

    What is found without them is what is found with them, in the same order, and after it, for each
    of them that was found, at most one more. That holds for every kind of index: one that compares
    codes may see better rows when it is asked for more, and those that it had not seen stay out.
    So an answer that has nothing to do with what is hidden is the same, bit for bit.

    Attributes:
        hidden: the rows, for what is found by other ways than the vectors.
        found: the withdrawn documents that are here.
    """

    def __init__(self, index: ShardIndex, store: Store) -> None:
        self._index = index
        self._store = store
        self._rows: dict[str, list[int]] = {}
        self.hidden: frozenset[int] = frozenset()
        self._is_hidden: NDArray[np.bool_] | None = None
        self.found: frozenset[str] = frozenset()

    def withdraw(self, ids: frozenset[str]) -> None:
        """Hide the rows of these documents, and of no others; raises GenerationError."""
        unknown = ids - self._rows.keys()
        if unknown:
            self._rows = {**self._rows, **rows_of(self._store, unknown)}
        self.found = frozenset(name for name in ids if self._rows[name])
        self.hidden = frozenset(row for name in ids for row in self._rows[name])
        # One more, for -1, which is no row.
        is_hidden = np.zeros(self._store.count + 1, np.bool_)
        is_hidden[list(self.hidden)] = True
        self._is_hidden = is_hidden if self.hidden else None

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        wanted: int | None = None,
        passing: Passing | None = None,
    ) -> Hits:
        """As ``ShardIndex.search``; rows are -1 where there are fewer."""
        hits = self._index.search(queries, k, wanted, passing)
        is_hidden = self._is_hidden
        if is_hidden is None or not hits.rows.size:
            return hits
        for place in np.flatnonzero(is_hidden[hits.rows].any(axis=1)).tolist():
            found, found_scores = hits.rows[place], hits.scores[place]
            kept = np.flatnonzero(~is_hidden[found])
            query, last = queries[place : place + 1], float(found_scores[-1])
            rows, scores = self._more(query, found, last, len(kept), wanted, passing)
            lacking = len(found) - len(kept)
            rows, scores = rows[:lacking], scores[:lacking]
            end = len(kept) + len(rows)
            found[: len(kept)], found_scores[: len(kept)] = found[kept], found_scores[kept]
            found[len(kept) : end], found_scores[len(kept) : end] = rows, scores
            found[end:], found_scores[end:] = -1, -np.inf
        return hits

    def _more(
        self,
        query: NDArray[np.float32],
        found: NDArray[np.int64],
        last: float,
        kept: int,
        wanted: int | None,
        passing: Passing | None,
    ) -> tuple[list[int], list[float]]:
        """Rows after those that were ``found``, of which ``kept`` stay, and their scores.

        ``last`` is the score of the last one; what has a better one had not been seen.
        """
        k, hidden, seen = len(found), self.hidden, set(found.tolist())
        more = MORE + k * (k - kept) // max(kept, 1)
        while True:
            most = None if wanted is None else wanted + more
            deep = self._index.search(query, k + more, most, passing)
            rows, scores = deep.rows[0].tolist(), deep.scores[0].tolist()
            new = [
                at
                for at, row in enumerate(rows)
                if scores[at] <= last and row not in seen and row not in hidden and row >= 0
            ]
            if kept + len(new) >= k or len(rows) < k + more or rows[-1] < 0:
                return [rows[at] for at in new], [scores[at] for at in new]
            more *= 4

    def scores(self, query: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """As ``ShardIndex.scores``."""
        return self._index.scores(query, rows)

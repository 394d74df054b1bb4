"""What a shard knows of its documents' words: the trigrams and the ordinal of every row.

Arrays, row by row, so that a document that comes or goes changes few bytes of them:

- ``ordinals.npy``        (n,) uint32
- ``trigram_counts.npy``  (n,) uint16, how many buckets each row has
- ``trigrams.npy``        (total,) uint16, the buckets of each row, ascending, row after row
- ``names.npy``           (names,) ``names.ROWS``, the rows that have a rare name
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import GenerationError
from app.generation.arrays import read_array
from app.generation.file_names import ROWS_BY_NAME, WORDS
from app.generation.manifest import REMEDY
from app.generation.names import ROWS, Postings
from app.generation.trigrams import BUCKETS, folded, trigrams

ORDINALS, COUNTS, TRIGRAMS = WORDS
NO_NAMES = np.empty(0, ROWS)
# Rows that join the candidates of one question for their names; a document may have two.
MAX_NAMED = 200


class ShardWords:
    """The words of one shard's documents, in memory: about 100 bytes for a question of a line.

    Args:
        ordinals: (n,) of each row.
        counts: (n,) buckets of each row.
        buckets: (total,) of all rows.
        names: the rows by their names.

    Raises: GenerationError where they do not belong together.
    """

    def __init__(
        self,
        ordinals: NDArray[np.uint32],
        counts: NDArray[np.uint16],
        buckets: NDArray[np.uint16],
        names: NDArray[Any] = NO_NAMES,
    ) -> None:
        self._ends = np.cumsum(counts, dtype=np.int64)
        total = int(self._ends[-1]) if len(counts) else 0
        if len(ordinals) != len(counts) or total != len(buckets):
            raise GenerationError(
                f"the trigrams of {len(counts)} rows are {total}, but {len(buckets)} are there; "
                f"ordinals are {len(ordinals)}"
            )
        if len(names) and int(names["row"].max()) >= len(counts):
            raise GenerationError(f"a name is of a row that is not there: there are {len(counts)}")
        self._ordinals, self._counts, self._buckets = ordinals, counts, buckets
        self._names = Postings(names["name"], names["row"])

    @classmethod
    def load(cls, part: Path, count: int, *, named: bool) -> ShardWords:
        """Read the files of a shard of ``count`` rows; raises GenerationError.

        ``named``: whether there are names among them.
        """
        ordinals = read_array(part / ORDINALS, np.uint32)
        counts = read_array(part / COUNTS, np.uint16)
        if len(counts) != count:
            raise GenerationError(
                f"{part / COUNTS} has {len(counts)} rows, the manifest says {count}: {REMEDY}"
            )
        names = read_array(part / ROWS_BY_NAME, ROWS) if named else NO_NAMES
        return cls(ordinals, counts, read_array(part / TRIGRAMS, np.uint16), names)

    def ordinals(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The ordinals of rows, in that order."""
        return self._ordinals[rows].astype(np.int64)

    def named(
        self, names: Sequence[int], hidden: frozenset[int] = frozenset()
    ) -> NDArray[np.int64]:
        """The rows that have one of these names, ascending; at most ``MAX_NAMED``, none hidden."""
        rows = {row for name in names for row in self._names.numbers(name)} - hidden
        return np.array(sorted(rows)[:MAX_NAMED], np.int64)

    def coverage(
        self,
        rows: NDArray[np.int64],
        buckets: NDArray[np.uint16],
        weights: NDArray[np.uint8],
    ) -> NDArray[np.float64]:
        """How much of a question each row has: the weight of the trigrams in both, over all.

        Args:
            rows: (m,) which documents.
            buckets: (t,) of the question's trigrams.
            weights: (t,) what each weighs.

        Returns: (m,) 0 to 1; the same for a document in whichever shard it is.
        """
        mass = int(weights.sum(dtype=np.int64))
        if not mass or not len(rows):
            return np.zeros(len(rows))
        weighed = np.zeros(BUCKETS, np.uint8)
        weighed[buckets] = weights
        counts = self._counts[rows].astype(np.int64)
        ends = np.cumsum(counts)
        # Where each row's buckets are, one after another.
        places = np.arange(ends[-1])
        places += np.repeat(self._ends[rows] - ends, counts)
        found = weighed[self._buckets[places]]
        if counts.all():
            shared = np.add.reduceat(found, ends - counts, dtype=np.int64)
        else:  # where a row has none, reduceat would give it the next one's first
            of_row = np.repeat(np.arange(len(rows)), counts)
            shared = np.bincount(of_row, found, minlength=len(rows))
        return np.asarray(shared / mass, np.float64)


def write(
    part: Path, ordinals: NDArray[np.int64], texts: Iterable[list[str]]
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Write the files of a shard from its rows' ordinals, and their texts in batches.

    Returns: how many buckets each row has (n,), and the buckets of all rows (total,).
    Raises: GenerationError where an ordinal does not fit 32 bits.
    """
    if len(ordinals) and int(ordinals.max()) >= 1 << 32:
        raise GenerationError("a document's ordinal is 2**32 or more: build without --base")
    made = [trigrams(list(map(folded, batch))) for batch in texts]
    counts = np.concatenate([np.empty(0, np.uint16), *(number for _, number in made)])
    buckets = np.concatenate([np.empty(0, np.uint16), *(found for found, _ in made)])
    counts = counts.astype(np.uint16)
    np.save(part / ORDINALS, ordinals.astype(np.uint32), allow_pickle=False)
    np.save(part / COUNTS, counts, allow_pickle=False)
    np.save(part / TRIGRAMS, buckets, allow_pickle=False)
    return counts, buckets

"""The words of a generation: what shards and gateways need to order candidates again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.generation import shard_words
from app.generation.file_names import ROWS_BY_NAME, SHARDS_BY_NAME, WEIGHTS, shard_dir
from app.generation.manifest_parts import Rescoring
from app.generation.names import HELD, ROWS, Holders, names
from app.generation.rescoring import Rescorer
from app.generation.shard_words import ShardWords
from app.generation.trigrams import BUCKETS, folded, weights

# The best by score that words order again.
DEPTH = 50
# Documents that may share a name; more of them, and it is no longer one.
SHARING = 20


class Words:
    """Writes the words of each shard, counts them over the corpus, and then writes the rest.

    Args:
        unfinished: the generation's directory.
        documents: how many there are.
        weight: of coverage.
    """

    def __init__(self, unfinished: Path, documents: int, weight: float) -> None:
        self._unfinished, self._weight = unfinished, weight
        self._counted = np.zeros(documents, dtype=np.bool_)
        self._frequencies = np.zeros(BUCKETS, dtype=np.int64)
        # Per shard: the names of its documents, (n,) names.HELD, and the row of each.
        self._held: list[NDArray[Any]] = []
        self._rows: list[NDArray[np.int64]] = []

    def write(
        self,
        part: Path,
        places: NDArray[np.int64],
        ordinals: NDArray[np.int64],
        texts: Iterable[list[str]],
    ) -> None:
        """Write the words of the next shard into ``part``, and count what is new.

        Args:
            part: the shard's directory.
            places: (n,) in the corpus, of its rows.
            ordinals: (n,) of its rows.
            texts: of its rows, in batches.
        """
        new = np.zeros(len(places), np.bool_)
        new[np.unique(places, return_index=True)[1]] = True  # a document may have several rows
        new &= ~self._counted[places]
        self._counted[places] = True
        found: list[tuple[int, int]] = []

        def noted() -> Iterable[list[str]]:
            first = 0
            for batch in texts:
                for row, text in enumerate(batch, first):
                    found.extend((name, row) for name in names(folded(text)))
                first += len(batch)
                yield batch

        counts, buckets = shard_words.write(part, ordinals, noted())
        fresh = buckets[np.repeat(new, counts)]
        self._frequencies += np.bincount(fresh, minlength=BUCKETS)
        both = np.array(found, dtype=np.int64).reshape(-1, 2)
        held = np.empty(len(both), HELD)
        held["name"], held["ordinal"] = both[:, 0], ordinals[both[:, 1]]
        held["shard"] = len(self._held)
        self._held.append(held)
        self._rows.append(both[:, 1])

    def finish(self, *, named: bool) -> Rescorer:
        """Write what gateways need, and the rare names of each shard; once all are written.

        Args:
            named: whether every index can tell the score of a row, which names need.
        """
        weighed = weights(self._frequencies, len(self._counted))
        np.save(self._unfinished / WEIGHTS, weighed, allow_pickle=False)
        if not named:
            return Rescorer(Rescoring(self._weight, DEPTH), weighed)
        every = np.concatenate(self._held)
        rare = _rare(every)
        for shard, (held, rows) in enumerate(zip(self._held, self._rows, strict=True)):
            keep = np.isin(held["name"], rare)
            by_row = np.empty(keep.sum(), ROWS)
            by_row["name"], by_row["row"] = held["name"][keep], rows[keep]
            path = self._unfinished / shard_dir(shard) / ROWS_BY_NAME
            np.save(path, by_row, allow_pickle=False)
        every = every[np.isin(every["name"], rare)]
        every = every[np.lexsort((every["shard"], every["name"], every["ordinal"]))]
        np.save(self._unfinished / SHARDS_BY_NAME, every, allow_pickle=False)
        return Rescorer(Rescoring(self._weight, DEPTH, SHARING), weighed, Holders(every))

    def of_shards(self, documents: Sequence[int], *, named: bool) -> list[ShardWords]:
        """The words of each shard, as written; ``documents`` are how many each has."""
        return [
            ShardWords.load(self._unfinished / shard_dir(shard), count, named=named)
            for shard, count in enumerate(documents)
        ]


def _rare(held: NDArray[Any]) -> NDArray[np.uint32]:
    """The names that at most ``SHARING`` documents have, copies counted once."""
    pairs = (held["name"].astype(np.uint64) << np.uint64(32)) | held["ordinal"]
    each = (np.unique(pairs) >> np.uint64(32)).astype(np.uint32)
    found, counts = np.unique(each, return_counts=True)
    return found[counts <= SHARING]

"""The words of a generation: what shards and gateways need to order candidates again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.generation import shard_words
from app.generation.manifest import WEIGHTS, Rescoring, ShardInfo, shard_dir
from app.generation.rescoring import Rescorer
from app.generation.shard_words import ShardWords
from app.generation.trigrams import BUCKETS, weights

# The best by score that words order again. More find hardly any more: docs/quality.md.
DEPTH = 50


class WordCounts:
    """Counts in how many documents each bucket of trigrams is, copies once, shard by shard.

    Args:
        documents: how many there are.
    """

    def __init__(self, documents: int) -> None:
        self._counted = np.zeros(documents, dtype=np.bool_)
        self._frequencies = np.zeros(BUCKETS, dtype=np.int64)

    def write(
        self,
        part: Path,
        places: NDArray[np.int64],
        ordinals: NDArray[np.int64],
        texts: Iterable[list[str]],
    ) -> None:
        """Write the words of a shard into ``part``, and count what is new.

        Args:
            part: the shard's directory.
            places: (n,) in the corpus, of its rows.
            ordinals: (n,) of its rows.
            texts: of its rows, in batches.
        """
        new = ~self._counted[places]
        self._counted[places] = True
        counts, buckets = shard_words.write(part, ordinals, texts)
        fresh = buckets[np.repeat(new, counts)]
        self._frequencies += np.bincount(fresh, minlength=BUCKETS)

    def rescorer(self, weight: float) -> Rescorer:
        """What gateways need, once all shards are written."""
        return Rescorer(Rescoring(weight, DEPTH), weights(self._frequencies, len(self._counted)))


def write_weights(unfinished: Path, rescorer: Rescorer) -> None:
    """Write what gateways need of the words."""
    np.save(unfinished / WEIGHTS, rescorer.weights, allow_pickle=False)


def words_of(unfinished: Path, shards: Iterable[ShardInfo]) -> list[ShardWords]:
    """The words of each shard, as written."""
    return [ShardWords.load(unfinished / shard_dir(info.shard), info.documents) for info in shards]

"""Ask an unsealed generation as a gateway would: its routing, indexes and words, in one process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.generation.merge import Pool
from app.generation.rescoring import Rescorer, Terms
from app.generation.routing import Router
from app.generation.shard_index import ShardIndex
from app.generation.shard_words import ShardWords
from app.generation.shortlist import Candidates as Offered
from app.generation.shortlist import candidates
from app.generation.terms import unpack_terms
from index_builder.layout import Layout


@dataclass(frozen=True, slots=True)
class Candidates:
    """Of all shards asked: places in the corpus, and what a merge needs of each."""

    places: NDArray[np.int64]
    pool: Pool

    def without(self, places: Sequence[int]) -> Candidates:
        """The same, but for these documents."""
        keep = np.flatnonzero(~np.isin(self.places, places))
        new = {old: at for at, old in enumerate(keep.tolist())}
        pool = self.pool
        return Candidates(
            self.places[keep],
            Pool(
                [pool.ordinals[at] for at in new],
                [pool.scores[at] for at in new],
                [pool.coverage[at] for at in new],
                [new[at] for at in pool.named if at in new],
            ),
        )


def _places(parts: Sequence[Offered]) -> Iterator[int]:
    """Of parts that are put together, the positions of what has a name."""
    before = 0
    for part in parts:
        yield from (before + at for at in part.named)
        before += len(part.rows)


@dataclass(frozen=True, slots=True)
class Searched:
    """What answers: a router, each shard's index, and its words where there is a rescorer."""

    layout: Layout
    router: Router
    indexes: Sequence[ShardIndex]
    words: Sequence[ShardWords]
    rescorer: Rescorer | None

    def by_score(self, query: NDArray[np.float32], k: int) -> Candidates:
        """The ``k`` nearest of each shard that a question (1, dim) asks."""
        parts = []
        for shard in np.flatnonzero(self.router.probe(query)[0]).tolist():
            hits = self.indexes[shard].search(query, k)
            real = hits.rows[0] >= 0
            parts.append((self.layout.documents(shard)[hits.rows[0][real]], hits.scores[0][real]))
        places, scores = (np.concatenate(both) for both in zip(*parts, strict=True))
        ordinals = self.layout.numbers[places].tolist()
        return Candidates(places, Pool(ordinals, scores.astype(np.float64).tolist()))

    def with_words(
        self,
        rescorer: Rescorer,
        terms: Terms,
        query: NDArray[np.float32],
        count: int,
        wanted: int,
    ) -> Candidates:
        """The ``count`` nearest of each shard, and what has the question's names.

        ``wanted`` of them in the end, as of ``ShardIndex.search``.
        """
        asked, unpacked = self.router.probe(query), unpack_terms(terms.packed)
        rescorer.reach(asked, [terms], self.router.holding())
        shards = np.flatnonzero(asked[0]).tolist()
        parts = [
            candidates(self.indexes[shard], self.words[shard], query, unpacked, count, wanted)
            for shard in shards
        ]
        stored = [self.layout.documents(shard) for shard in shards]
        places = np.concatenate([own[part.rows] for own, part in zip(stored, parts, strict=True)])
        return Candidates(
            places,
            Pool(
                self.layout.numbers[places].tolist(),
                np.concatenate([part.scores for part in parts]).tolist(),
                np.concatenate([part.coverage for part in parts]).tolist(),
                list(_places(parts)),
            ),
        )

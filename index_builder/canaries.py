"""Choose a generation's canaries and work out what they must answer, as a gateway would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.generation.canary import TOLERANCE, Canary
from app.generation.merge import merge
from app.generation.rescoring import Rescorer
from app.generation.routing import Router
from app.generation.shard_index import ShardIndex
from app.generation.shard_words import ShardWords
from index_builder.document_rows import DocumentRows
from index_builder.evaluate import AsQuestions
from index_builder.layout import Layout

COUNT = 32
K = 5


@dataclass(frozen=True, slots=True)
class Searched:
    """What answers: a router, each shard's index, and its words where there is a rescorer."""

    router: Router
    indexes: Sequence[ShardIndex]
    words: Sequence[ShardWords]
    rescorer: Rescorer | None


def make_canaries(
    rows: DocumentRows, ask: AsQuestions, searched: Searched, layout: Layout
) -> list[Canary]:
    """Ask documents spread over the corpus, route and merge, and keep the answers.

    The question is a document's own text: the serving encoder must give its vector (``ask``)
    again, so canaries prove the model as well as the index.
    """
    chosen = np.unique(np.linspace(0, len(layout.numbers) - 1, COUNT).astype(np.int64))
    canaries = []
    for place, query in zip(chosen.tolist(), ask(chosen)[:, None], strict=True):
        question = rows.get([place])[0].text
        asked = _Question(searched, layout, question, query)
        found, best, lexical = asked.rescored() or asked.by_score()
        documents = rows.get(found.places[best].tolist())
        canaries.append(
            Canary(
                question=question,
                ids=tuple(document.id for document in documents),
                scores=tuple(found.scores[best].tolist()),
                lexical=tuple(lexical),
            )
        )
    return canaries


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Of all shards asked: places in the corpus, ordinals, scores, and coverage."""

    places: NDArray[np.int64]
    ordinals: list[int]
    scores: NDArray[np.float64]
    coverage: list[float]


# Candidates, positions of the answer in them, and the coverage of each answer.
_Answered = tuple[_Candidates, list[int], list[float]]


class _Question:
    """One question, and what the shards that it asks have for it."""

    def __init__(
        self, searched: Searched, layout: Layout, text: str, query: NDArray[np.float32]
    ) -> None:
        self._searched, self._layout, self._query = searched, layout, query
        self._shards = np.flatnonzero(searched.router.probe(query)[0]).tolist()
        rescorer = searched.rescorer
        self._terms = rescorer.terms(text) if rescorer else b""

    def by_score(self) -> _Answered:
        """The answer where words do not count."""
        found = self._candidates(K, K)
        return found, merge(found.ordinals, found.scores.tolist(), K), []

    def rescored(self) -> _Answered | None:
        """The answer that words order too, where all processors give the same.

        Scores differ a little between processors, and so may what is among the best by score. None
        where the answer depends on that.
        """
        rescorer = self._searched.rescorer
        if rescorer is None or not self._terms:
            return None
        depth, weight = rescorer.rescoring.depth, rescorer.rescoring.weight
        found = self._candidates(depth, K)
        best = rescorer.order(found.ordinals, found.scores.tolist(), found.coverage, K)
        answer = [found.ordinals[at] for at in best]
        deep = self._candidates(2 * depth, 2 * depth)
        scores = deep.scores.tolist()
        ranked = merge(deep.ordinals, scores, 2 * depth)
        last = scores[ranked[depth - 1]] if len(ranked) > depth else -np.inf
        for least in (last + 2 * TOLERANCE, last - 2 * TOLERANCE):
            near = [at for at in ranked if scores[at] > least]
            near.sort(
                key=lambda at: (-(scores[at] + weight * deep.coverage[at]), deep.ordinals[at])
            )
            if {deep.ordinals[at] for at in near[:K]} != set(answer):
                return None
        return found, best, [found.coverage[at] for at in best]

    def _candidates(self, count: int, wanted: int) -> _Candidates:
        places, scores, coverage = [], [], []
        for shard in self._shards:
            hits = self._searched.indexes[shard].search(self._query, count, wanted)
            found = hits.rows[0][hits.rows[0] >= 0]
            places.append(self._layout.stored[shard][found])
            scores.append(hits.scores[0][: len(found)].astype(np.float64))
            if self._terms:
                coverage += self._searched.words[shard].coverage(found, self._terms).tolist()
        known = np.concatenate(places)
        ordinals = self._layout.numbers[known].tolist()
        return _Candidates(known, ordinals, np.concatenate(scores), coverage)

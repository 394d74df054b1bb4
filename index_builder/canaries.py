"""Choose a generation's canaries and work out what they must answer, as a gateway would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.generation.canary import TOLERANCE, Canary
from app.generation.merge import merge
from app.generation.rescoring import Rescorer, Terms
from app.generation.routing import Router
from app.generation.shard_index import ShardIndex
from app.generation.shard_words import ShardWords
from app.generation.shortlist import candidates
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
class _Found:
    """Candidates of all shards asked, in any order; positions of those that have a name."""

    places: NDArray[np.int64]
    ordinals: list[int]
    scores: NDArray[np.float64]
    coverage: list[float]
    named: list[int]


# Candidates, positions of the answer in them, and the coverage of each answer.
_Answered = tuple[_Found, list[int], list[float]]


class _Question:
    """One question, and what the shards that it asks have for it."""

    def __init__(
        self, searched: Searched, layout: Layout, text: str, query: NDArray[np.float32]
    ) -> None:
        self._searched, self._layout, self._query = searched, layout, query
        self._terms = searched.rescorer.terms(text) if searched.rescorer else None

    def by_score(self) -> _Answered:
        """The answer where words do not count."""
        asked = self._searched.router.probe(self._query)
        parts = []
        for shard in np.flatnonzero(asked[0]).tolist():
            hits = self._searched.indexes[shard].search(self._query, K)
            real = hits.rows[0] >= 0
            parts.append((self._layout.stored[shard][hits.rows[0][real]], hits.scores[0][real]))
        places, scores = (np.concatenate(both) for both in zip(*parts, strict=True))
        ordinals = self._layout.numbers[places].tolist()
        found = _Found(places, ordinals, scores.astype(np.float64), [], [])
        return found, merge(ordinals, scores.tolist(), K), []

    def rescored(self) -> _Answered | None:
        """The answer that words order too, where all processors give the same.

        Scores differ a little between processors, and so may what is among the best by score. None
        where the answer depends on that.
        """
        rescorer, terms = self._searched.rescorer, self._terms
        if rescorer is None or terms is None:
            return None
        depth, weight = rescorer.rescoring.depth, rescorer.rescoring.weight
        found = self._candidates(rescorer, terms, depth, K)
        scores = found.scores.tolist()
        best = rescorer.order(found.ordinals, scores, found.coverage, found.named, K)
        answer = {found.ordinals[at] for at in best}
        deep = self._candidates(rescorer, terms, 2 * depth, 2 * depth)
        scores = deep.scores.tolist()
        ranked = merge(deep.ordinals, scores, len(scores))
        having = {deep.ordinals[at] for at in deep.named}
        last = scores[ranked[depth - 1]] if len(ranked) > depth else -np.inf
        for least in (last + 2 * TOLERANCE, last - 2 * TOLERANCE):
            near = [at for at in ranked if scores[at] > least or deep.ordinals[at] in having]
            keys = {at: scores[at] + weight * deep.coverage[at] for at in near}
            near.sort(key=lambda at: (-keys[at], deep.ordinals[at]))
            if {deep.ordinals[at] for at in near[:K]} != answer:
                return None
        return found, best, [found.coverage[at] for at in best]

    def _candidates(self, rescorer: Rescorer, terms: Terms, count: int, wanted: int) -> _Found:
        searched = self._searched
        asked = searched.router.probe(self._query)
        rescorer.reach(asked, [terms])
        shards = np.flatnonzero(asked[0]).tolist()
        parts = [
            candidates(
                searched.indexes[shard],
                searched.words[shard],
                self._query,
                terms.packed,
                count,
                wanted,
            )
            for shard in shards
        ]
        places = np.concatenate(
            [
                self._layout.stored[shard][part.rows]
                for shard, part in zip(shards, parts, strict=True)
            ]
        )
        return _Found(
            places,
            self._layout.numbers[places].tolist(),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.coverage for part in parts]).tolist(),
            np.flatnonzero(np.concatenate([part.named for part in parts])).tolist(),
        )

"""Choose a generation's canaries and work out what they must answer, as a gateway would."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from app.generation.canary import TOLERANCE, Canary
from app.generation.merge import merge
from app.generation.text import clean
from index_builder.document_rows import DocumentRows
from index_builder.evaluate import AsQuestions
from index_builder.searched import Candidates, Searched

COUNT = 32
K = 5
# Of generations that search answers: so many beginnings of answers, of so many characters.
ANSWERS, BEGINNING = 8, 200

# Candidates, positions of the answer in them, and the coverage of each answer.
_Answered = tuple[Candidates, list[int], list[float]]


def make_canaries(rows: DocumentRows, ask: AsQuestions, searched: Searched) -> list[Canary]:
    """Ask documents spread over the corpus, route and merge, and keep the answers.

    The question is a document's own text: the serving encoder must give its vector (``ask``)
    again, so canaries prove the model as well as the index.
    """
    documents = len(searched.layout.numbers)
    chosen = np.unique(np.linspace(0, documents - 1, COUNT).astype(np.int64))
    return [
        _canary(rows.get([place])[0].text, query, rows, searched)
        for place, query in zip(chosen.tolist(), ask(chosen)[:, None], strict=True)
    ]


def answer_canaries(
    rows: DocumentRows,
    encode: Callable[[list[str]], NDArray[np.float32]],
    searched: Searched,
) -> list[Canary]:
    """Ask the beginnings of answers, which nothing but the answers' own rows is so near to.

    ``encode`` gives the vectors of questions.
    """
    texts = searched.layout.texts
    having = texts.owners[texts.answers]
    chosen = having[np.unique(np.linspace(0, len(having) - 1, ANSWERS).astype(np.int64))]
    asked = [
        clean((row.answer or "")[: 2 * BEGINNING])[:BEGINNING].strip()
        for row in rows.get(chosen.tolist())
    ]
    asked = [text for text in asked if text]  # blanks of any length may come first
    if not asked:
        return []
    return [
        _canary(text, query, rows, searched)
        for text, query in zip(asked, encode(asked)[:, None], strict=True)
    ]


def _canary(
    question: str, query: NDArray[np.float32], rows: DocumentRows, searched: Searched
) -> Canary:
    found, best, lexical = _rescored(searched, question, query) or _by_score(searched, query)
    return Canary(
        question=question,
        ids=tuple(document.id for document in rows.get(found.places[best].tolist())),
        scores=tuple(found.pool.scores[at] for at in best),
        lexical=tuple(lexical),
    )


def _by_score(searched: Searched, query: NDArray[np.float32]) -> _Answered:
    """The answer where words do not count."""
    found = searched.by_score(query, K)
    return found, merge(found.pool.ordinals, found.pool.scores, K), []


def _rescored(searched: Searched, question: str, query: NDArray[np.float32]) -> _Answered | None:
    """The answer that words order too, where all processors give the same.

    Scores differ a little between processors, and so may what is among the best by score. None
    where the answer depends on that.
    """
    rescorer = searched.rescorer
    if rescorer is None:
        return None
    terms, depth = rescorer.terms(question), rescorer.rescoring.depth
    found = searched.with_words(rescorer, terms, query, depth, K)
    best = rescorer.rank(found.pool, K).positions
    answer = {found.pool.ordinals[at] for at in best}
    deep = searched.with_words(rescorer, terms, query, 2 * depth, 2 * depth).pool
    ranked = merge(deep.ordinals, deep.scores, len(deep.scores))
    having = {deep.ordinals[at] for at in deep.named}
    last = deep.scores[ranked[depth - 1]] if len(ranked) > depth else -np.inf
    for least in (last + 2 * TOLERANCE, last - 2 * TOLERANCE):
        near = [at for at in ranked if deep.scores[at] > least or deep.ordinals[at] in having]
        keys = {at: deep.scores[at] + rescorer.rescoring.weight * deep.coverage[at] for at in near}
        near.sort(key=lambda at: (-keys[at], deep.ordinals[at]))
        if {deep.ordinals[at] for at in near[:K]} != answer:
            return None
    return found, best, [found.pool.coverage[at] for at in best]

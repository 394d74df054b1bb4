"""Choose a generation's canaries and work out what they must answer, as a gateway would."""

from __future__ import annotations

import numpy as np

from app.generation.canary import Canary
from app.generation.merge import merge
from app.generation.routing import Router
from app.generation.shard_index import ShardIndex
from index_builder.document_rows import DocumentRows
from index_builder.evaluate import AsQuestions
from index_builder.layout import Layout

COUNT = 32
K = 5


def make_canaries(
    rows: DocumentRows,
    ask: AsQuestions,
    router: Router,
    indexes: list[ShardIndex],
    layout: Layout,
) -> list[Canary]:
    """Ask documents spread over the corpus, route and merge, and keep the answers.

    The question is a document's own text: the serving encoder must give its vector (``ask``)
    again, so canaries prove the model as well as the index.
    """
    chosen = np.unique(np.linspace(0, len(layout.numbers) - 1, COUNT).astype(np.int64))
    canaries = []
    for place, query in zip(chosen.tolist(), ask(chosen)[:, None], strict=True):
        asked = np.flatnonzero(router.probe(query)[0]).tolist()
        found, scores = [], []
        for shard in asked:
            hits = indexes[shard].search(query, K)
            real = hits.rows[0] >= 0
            found.append(layout.stored[shard][hits.rows[0][real]])
            scores.append(hits.scores[0][real])
        all_found, all_scores = np.concatenate(found), np.concatenate(scores)
        best = merge(layout.numbers[all_found].tolist(), all_scores.tolist(), K)
        documents = rows.get(all_found[best].tolist())
        canaries.append(
            Canary(
                question=rows.get([place])[0].text,
                ids=tuple(document.id for document in documents),
                scores=tuple(float(score) for score in all_scores[best]),
            )
        )
    return canaries

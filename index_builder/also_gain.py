"""What searching answers too gains, on labelled questions: by exact search, with words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.generation.rescoring import Rescorer
from app.generation.trigrams import folded, trigrams
from index_builder.document_rows import DocumentRows
from index_builder.labels import Labelled
from index_builder.texts import Texts


def hits_at_1(
    labels: Sequence[Labelled],
    asked: NDArray[np.float32],
    vectors: NDArray[np.float32],
    texts: Texts,
    rows: DocumentRows,
    rescorer: Rescorer | None,
) -> tuple[int, float, float]:
    """How many questions have a right document, and the share whose first answer is right.

    By questions alone, and by answers too.

    Args:
        labels: the questions.
        asked: (n, dim) theirs.
        vectors: (t, dim) of the texts.
        texts: whose they are.
        rows: the documents.
        rescorer: of their words.
    """
    fitting = [number for number, one in enumerate(labels) if one.right]
    alone = both = 0
    for number in fitting:
        scores = (vectors @ asked[number]).astype(np.float64)
        best = scores[: texts.documents].copy()
        alone += _first(best, labels[number].question, rows, rescorer) in labels[number].right
        np.maximum.at(best, texts.owners, scores)
        both += _first(best, labels[number].question, rows, rescorer) in labels[number].right
    count = max(len(fitting), 1)
    return len(fitting), round(alone / count, 4), round(both / count, 4)


def _first(
    scores: NDArray[np.float64], question: str, rows: DocumentRows, rescorer: Rescorer | None
) -> int:
    """The place of the first answer, by the score of each document (n,) and its words."""
    if rescorer is None:
        return int(scores.argmax())
    depth = min(rescorer.rescoring.depth, len(scores))
    near = np.argpartition(-scores, depth - 1)[:depth]
    own, _ = trigrams([folded(question)])
    held, counts = trigrams([folded(row.text) for row in rows.get(near.tolist())])
    weights = rescorer.weights.astype(np.float64)
    shared = np.where(np.isin(held, own), weights[held], 0.0)
    found = np.bincount(np.repeat(np.arange(depth), counts), shared, minlength=depth)
    keys = scores[near] + rescorer.rescoring.weight * found / max(weights[own].sum(), 1.0)
    return int(near[np.lexsort((near, -keys))[0]])

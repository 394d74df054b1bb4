"""What is searched: the question of each document, and its answer where that is asked for.

A text has a place: questions have those of their documents, answers follow. Vectors, clusters and
rows of shards are of texts; words, filters and results are of documents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of a corpus.

    Attributes:
        documents: how many documents there are, and so questions.
        owners: (t,) int64, the place of the document of each text.
    """

    documents: int
    owners: NDArray[np.int64]

    @classmethod
    def of(cls, documents: int, having: NDArray[np.int64] | None = None) -> Texts:
        """Those of so many documents; ``having`` are the places of those with an answer."""
        answers = np.empty(0, np.int64) if having is None else having
        return cls(documents, np.concatenate([np.arange(documents), answers]))

    @property
    def answers(self) -> NDArray[np.bool_]:
        """Which texts are answers: (t,)."""
        return np.arange(len(self.owners)) >= self.documents

    def identities(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """What tells a text from every other, here and in a base: (t,).

        Args:
            numbers: (documents,) the ordinal of each.
        """
        return 2 * numbers[self.owners] + self.answers

"""What is searched: the question of each document, and its answer where that is asked for.

A text has a place: questions have those of their documents, answers follow. Vectors, clusters and
rows of shards are of texts; words, filters and results are of documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import BuildError
from app.generation.text import clean
from index_builder.corpus.document import MAX_TEXT, Document
from index_builder.corpus.ingest import Ingested, ingest_documents
from index_builder.document_rows import DocumentRows


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


def answers_of(rows: DocumentRows, work: Path) -> tuple[Ingested, NDArray[np.int64]]:
    """The answers as texts to encode, and the places of their documents.

    Of a long answer it is the beginning: models read no more.

    Raises: BuildError where no document has an answer.
    """
    places: list[int] = []

    def texts() -> list[Document]:
        found = []
        for place, answer in rows.answers():
            text = clean(answer[: 2 * MAX_TEXT])[:MAX_TEXT].strip()
            if text:
                places.append(place)
                found.append(Document(id=str(place), text=text))
        return found

    documents = texts()
    if not documents:
        raise BuildError("--also-search answer: no document has an answer")
    return ingest_documents(documents, work / "answers"), np.array(places, np.int64)

"""What every system of the bench is given: documents, vectors, questions, the right answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from app.generation.engine import open_engine
from index_builder.corpus.ingest import ingest
from index_builder.embed import embed
from index_builder.progress import Progress
from index_builder.workers import open_workers

K = 10
CHECKED = 500  # questions whose answers are compared with exact search


@dataclass(frozen=True)
class Data:
    """The corpus and its questions.

    Attributes:
        corpus: the file.
        model: directory of the model artefact.
        ids: of the documents.
        texts: of the documents.
        vectors: (documents, dim) float32, unit length.
        questions: texts that are not in the corpus, no two alike, so that no cache answers them.
        truth: the ids of the K nearest documents of the first CHECKED questions, by exact search.
    """

    corpus: Path
    model: Path
    ids: list[str]
    texts: list[str]
    vectors: NDArray[np.float32]
    questions: list[str]
    truth: list[set[str]]


def load(corpus: Path, model: Path, work: Path, processes: int) -> Data:
    """Read and encode the corpus (kept in ``work`` for the next run); make the questions."""
    progress = Progress()
    ingested = ingest([corpus], work / "corpus", 0.001, progress)
    with open_workers(processes) as workers:
        vectors = embed(ingested, model, work, workers=workers, progress=progress)
    with closing(sqlite3.connect(ingested.documents)) as connection:
        rows = connection.execute("SELECT id, text FROM documents ORDER BY ordinal").fetchall()
    ids, texts = [row[0] for row in rows], [row[1] for row in rows]
    questions = list(_questions(texts))
    engine = open_engine(model)
    asked = engine.encode(questions[:CHECKED])
    exact = faiss.IndexFlatIP(vectors.shape[1])
    exact.add(np.ascontiguousarray(vectors))
    _, found = exact.search(asked, K)
    truth = [{ids[place] for place in row} for row in found.tolist()]
    return Data(corpus, model, ids, texts, vectors, questions, truth)


def _questions(texts: list[str]) -> Iterator[str]:
    """The corpus's questions in another order, each without one of its words."""
    seen = set(texts)
    random = np.random.default_rng(7)
    for place in random.permutation(len(texts)).tolist():
        words = texts[place].split()
        if len(words) < 5 or len(words) > 40:
            continue
        del words[int(random.integers(1, len(words)))]
        question = " ".join(words)
        if question not in seen:
            seen.add(question)
            yield question

"""The vectors of what is searched: of every question, and of answers where asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray

from app.errors import BuildError
from app.generation.text import clean
from index_builder.corpus.document import MAX_TEXT, Document
from index_builder.corpus.ingest import Ingested, ingest_documents
from index_builder.document_rows import DocumentRows
from index_builder.embed import embed
from index_builder.handed import copied
from index_builder.progress import Progress
from index_builder.texts import Texts
from index_builder.without import Left
from index_builder.workers import Workers

# Vectors that are compared or copied together: 100 MB of 384 dimensions.
BATCH = 65536


def encoded(
    whole: Ingested,
    left: Left,
    model: Path,
    work: Path,
    workers: Workers,
    progress: Progress,
    *,
    vectors: NDArray[np.float32] | None = None,
    answers: bool = False,
) -> tuple[NDArray[np.float32], Texts]:
    """The vectors (t, dim) of the texts of what is left of a corpus, and whose they are.

    The whole corpus is encoded, so that a withdrawal does not cost encoding it anew. An answer
    whose vector is that of its question says nothing more, and is left out.

    Args:
        whole: the corpus.
        left: what is left of it.
        model: the artefact.
        work: where vectors are kept.
        workers: as of ``embed``.
        progress: where to report to.
        vectors: (n, dim) of the questions that are left, where they are known.
        answers: whether answers are searched, too.

    Raises: BuildError where answers are asked for and no document has one, before anything is
        encoded; otherwise as of ``embed``.
    """
    having: NDArray[np.int64] = np.empty(0, np.int64)
    if answers:
        also, having = _answers(whole)
    if vectors is None:
        vectors = embed(whole, model, work, workers=workers, progress=progress)
        vectors = vectors if left.places is None else _joined([(vectors, left.places)], work)
    if not answers:
        return vectors, Texts.of(len(vectors))
    progress.say(f"{len(having):,} documents have an answer that is searched, too")
    more = embed(also, model, work, workers=workers, progress=progress)
    kept = np.arange(len(having))
    if left.places is not None:
        kept = np.flatnonzero(np.isin(having, left.places))
        having = np.searchsorted(left.places, having[kept])
    new = _others(more, kept, vectors, having)
    both = _joined([(vectors, np.arange(len(vectors))), (more, kept[new])], work)
    return both, Texts.of(len(vectors), having[new])


def _answers(corpus: Ingested) -> tuple[Ingested, NDArray[np.int64]]:
    """The answers as texts to encode, and the places of their documents.

    Of a long answer it is the beginning: models read no more.
    """
    places: list[int] = []

    def texts() -> Iterator[Document]:
        for place, answer in DocumentRows(corpus.documents).answers():
            text = clean(answer[: 2 * MAX_TEXT])[:MAX_TEXT].strip()
            if text:
                places.append(place)
                yield Document(id=str(place), text=text)

    found = texts()
    first = next(found, None)
    if first is None:
        raise BuildError("--also-search answer: no document has an answer")
    own = corpus.documents.parent / "answers"
    return ingest_documents(_with(first, found), own), np.array(places, np.int64)


def _with(first: Document, others: Iterator[Document]) -> Iterator[Document]:
    yield first
    yield from others


def _others(
    answers: NDArray[np.float32],
    kept: NDArray[np.intp],
    questions: NDArray[np.float32],
    having: NDArray[np.int64],
) -> NDArray[np.intp]:
    """Of answers that are kept, those whose vector is not that of their question."""
    found = [np.empty(0, np.intp)]
    for start in range(0, len(kept), BATCH):
        some = slice(start, start + BATCH)
        own = copied(questions, having[some])
        differs = (copied(answers, kept[some]) != own).any(axis=1)
        found.append(start + np.flatnonzero(differs))
    return np.concatenate(found)


def _joined(
    parts: Sequence[tuple[NDArray[np.float32], NDArray[np.intp]]], work: Path
) -> NDArray[np.float32]:
    """Rows of one matrix, then of the next, in a file: they may be more than the memory holds."""
    shape = sum(len(rows) for _, rows in parts), parts[0][0].shape[1]
    work.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=work) as file:
        joined = np.memmap(file, np.float32, "w+", shape=shape)
    at = 0
    for vectors, rows in parts:
        for start in range(0, len(rows), BATCH):
            block = copied(vectors, rows[start : start + BATCH])
            joined[at : at + len(block)] = block
            at += len(block)
    return joined

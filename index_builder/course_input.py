"""The course project's files as the input of a build: its clusters kept, its vectors checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.generation.engine import open_engine
from index_builder.corpus.course import read_course
from index_builder.corpus.ingest import ingest_documents
from index_builder.inputs import Inputs
from index_builder.progress import Progress

CHECKED = 64
# The artefact's vector of a sentence and the stored one must point the same way.
SAME_MODEL = 0.98


def read_course_input(
    clusters: Path,
    embeddings: Path | None,
    centers: Path | None,
    model: Path,
    work: Path,
    max_bad: float,
    progress: Progress,
) -> Inputs:
    """Read the files, keep the clusters, and keep the vectors if ``model`` made them.

    A question is encoded by ``model``, so vectors of another model would be compared with
    vectors of another kind: then the sentences are encoded again, in the same clusters, and the
    centroids are the means of each cluster's members. The centres are used with the vectors.
    """
    course = read_course(clusters, embeddings, centers, max_bad=max_bad)
    for note in course.notes:
        progress.say(f"course files: {note}")
    corpus = ingest_documents(course.documents, work)
    labels = course.labels.astype(np.int32)
    vectors = course.vectors
    if vectors is not None:
        engine = open_engine(model)
        rows = np.unique(np.linspace(0, len(vectors) - 1, CHECKED).astype(np.int64))
        agree = 0.0
        if engine.dim == vectors.shape[1]:
            again = engine.encode([course.documents[row].text for row in rows.tolist()], "document")
            agree = float(np.mean(np.sum(again * vectors[rows], axis=1)))
        if agree < SAME_MODEL:
            progress.say(
                f"course files: their vectors are not this model's (mean cosine {agree:.2f}); "
                "the sentences are encoded again, and their centres are not used"
            )
            vectors = None
    centres = None if vectors is None else course.centres
    return Inputs(corpus, model, labels=labels, vectors=vectors, centres=centres)

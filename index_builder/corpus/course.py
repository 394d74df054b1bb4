"""Read what the course project's generator wrote, and keep its clusters.

For data generation N: `clusters_use_dgN.json` (cluster label to sentences), and, if there,
`use_embeddings_dgN.pkl` (sentence to vector) and `clusters_centers_use_dgN.pkl` (label to centre).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from app.errors import CorpusError
from index_builder.corpus.bad_lines import Fault
from index_builder.corpus.course_vectors import read_centres, read_vectors, some
from index_builder.corpus.document import Document
from index_builder.corpus.fields import document_of


@dataclass(frozen=True, slots=True)
class CourseCorpus:
    """A corpus that is clustered already.

    Attributes:
        documents: In the order of the clusters file; ids are made from the texts.
        labels: (documents,) int64: the index in `clusters` of each document's cluster.
        clusters: Labels as the file has them; each has at least one document.
        vectors: (documents, dim) float32 of unit length, or None where a sentence has none.
        centres: (clusters, dim) float32 of unit length in the order of `clusters`, or None.
        notes: What was left out or made up, a line each.
    """

    documents: list[Document]
    labels: NDArray[np.int64]
    clusters: list[str]
    vectors: NDArray[np.float32] | None
    centres: NDArray[np.float32] | None
    notes: list[str]


def course_files(clusters: Path) -> tuple[Path | None, Path | None]:
    """The embeddings and the centres that lie beside `clusters_use_dgN.json`, where they do."""
    found = re.fullmatch(r"clusters_(\w+_dg\d+)\.json", clusters.name)
    if found is None:
        return None, None
    model, _, number = found[1].rpartition("_")
    embeddings = clusters.with_name(f"{model}_embeddings_{number}.pkl")
    centers = clusters.with_name(f"clusters_centers_{model}_{number}.pkl")
    return (
        embeddings if embeddings.exists() else None,
        centers if centers.exists() else None,
    )


def read_course(
    clusters: Path,
    embeddings: Path | None = None,
    centers: Path | None = None,
    *,
    max_bad: float = 0.001,
) -> CourseCorpus:
    """Read one data generation.

    A sentence in several clusters stays in the first. Clusters without sentences are left out,
    and so are centres without a cluster. Where a cluster has no centre, the mean of its vectors
    takes its place, or, without vectors, no centre is returned. Vectors are returned if every
    sentence has one. Each of these is noted.

    Args:
        clusters: JSON, an object of lists of strings.
        embeddings: Pickle of a dict: sentence to (dim,) or (1, dim) numbers.
        centers: Pickle of a dict by label, or of a list or array with the centre of label i at i.
        max_bad: Largest fraction of sentences that may be unusable (empty, too long, no string).

    Raises:
        CorpusError: A file is missing, damaged or refused, files are of different data
            generations, no sentence is usable, or too many are not, or vectors and centres do
            not fit each other or their clusters.
    """
    _same_generation([path for path in (clusters, embeddings, centers) if path is not None])
    sentences, names, labels, notes = _read_clusters(clusters, max_bad)
    documents = [document for document, _ in sentences]
    vectors = None
    if embeddings is not None:
        vectors = read_vectors(embeddings, sentences, notes)
    centres = None
    if centers is not None:
        centres = read_centres(centers, names, labels, vectors, notes)
    return CourseCorpus(documents, labels, names, vectors, centres, notes)


def _same_generation(paths: list[Path]) -> None:
    numbers = {found[1] for path in paths if (found := re.search(r"_dg(\d+)\.", path.name))}
    if len(numbers) > 1:
        files = ", ".join(path.name for path in paths)
        raise CorpusError(f"{files}: files of different data generations do not fit together")


def _read_clusters(
    path: Path, max_bad: float
) -> tuple[list[tuple[Document, str]], list[str], NDArray[np.int64], list[str]]:
    sentences: list[tuple[Document, str]] = []
    labels: list[int] = []
    names: list[str] = []
    notes: list[str] = []
    bad: list[str] = []
    empty: list[str] = []
    seen: dict[str, str] = {}
    repeated = 0
    for label, members in _load_clusters(path).items():
        before = len(labels)
        for number, sentence in enumerate(members, start=1):
            document = document_of({"text": sentence})
            if isinstance(document, Fault):
                bad.append(f"cluster {label!r}, sentence {number}: {document.reason}")
            elif document.id in seen:
                repeated += 1
            else:
                seen[document.id] = label
                sentences.append((document, sentence))
                labels.append(len(names))
        if len(labels) > before:
            names.append(label)
        else:
            empty.append(label)
    total = len(sentences) + repeated + len(bad)
    if len(bad) > max_bad * total:
        raise CorpusError(
            f"{path}: {len(bad):,} of {total:,} sentences are unusable: {'; '.join(bad[:5])}"
        )
    if not sentences:
        raise CorpusError(f"{path}: no sentence in it")
    if bad:
        notes.append(f"{len(bad):,} unusable sentences left out: {'; '.join(bad[:5])}")
    if repeated:
        notes.append(f"{repeated:,} repeated sentences left out, each stays where it was first")
    if empty:
        notes.append(f"clusters without a sentence of their own left out: {some(empty)}")
    return sentences, names, np.array(labels, dtype=np.int64), notes


def _load_clusters(path: Path) -> dict[str, list[str]]:
    try:
        found = orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise CorpusError(f"{path}: no such file") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise CorpusError(f"{path}: invalid JSON: {error}") from error
    if not isinstance(found, dict):
        raise CorpusError(f"{path}: not an object of clusters")
    for label, members in found.items():
        if not isinstance(members, list):
            raise CorpusError(f"{path}: cluster {label!r} is no list of sentences")
    return found

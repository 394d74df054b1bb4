"""Vectors and centres out of the course project's pickles, fitted to its sentences and clusters."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import CorpusError
from index_builder.corpus.document import Document
from index_builder.corpus.unpickle import as_array, load_numbers


def read_vectors(
    path: Path, sentences: list[tuple[Document, str]], notes: list[str]
) -> NDArray[np.float32] | None:
    """Unit vectors of all sentences, (sentences, dim), or None, noted, where one has none."""
    found = load_numbers(path)
    if not isinstance(found, dict):
        raise CorpusError(f"{path}: not a dict of sentence to vector")
    missing = [sentence for _, sentence in sentences if sentence not in found]
    if missing:
        notes.append(
            f"{path.name}: {len(missing):,} sentences have no vector, {missing[0][:60]!r} first; "
            "its vectors are not used"
        )
        return None
    extra = len(found) - len(sentences)
    if extra > 0:
        notes.append(f"{path.name}: {extra:,} vectors belong to no document and are left out")
    rows = ((repr(sentence[:60]), found[sentence]) for _, sentence in sentences)
    return _unit_rows(path, rows, len(sentences))


def read_centres(
    path: Path,
    names: list[str],
    labels: NDArray[np.int64],
    vectors: NDArray[np.float32] | None,
    notes: list[str],
) -> NDArray[np.float32] | None:
    """Unit centres, (names, dim), in the order of `names`; None, noted, where one is unknown."""
    found = _by_label(path, load_numbers(path))
    if not found.keys() & set(names):
        raise CorpusError(
            f"{path}: no centre belongs to a cluster: centres {some(found)}, clusters {some(names)}"
        )
    orphans = [label for label in found if label not in names]
    if orphans:
        notes.append(f"{path.name}: centres without a cluster left out: {some(orphans)}")
    lacking = [label for label in names if label not in found]
    if lacking and vectors is None:
        notes.append(f"{path.name}: not used: clusters without a centre: {some(lacking)}")
        return None
    if lacking and vectors is not None:
        notes.append(f"{path.name}: the mean of its vectors is the centre of {some(lacking)}")
        for label in lacking:
            found[label] = vectors[labels == names.index(label)].mean(axis=0)
    centres = _unit_rows(path, ((f"cluster {name!r}", found[name]) for name in names), len(names))
    if vectors is not None and centres.shape[1] != vectors.shape[1]:
        raise CorpusError(
            f"{path}: centres of {centres.shape[1]} dimensions, vectors of {vectors.shape[1]}"
        )
    return centres


def _by_label(path: Path, found: object) -> dict[str, object]:
    if isinstance(found, dict):
        try:
            return {str(label): centre for label, centre in found.items()}
        except ValueError as error:  # a number of thousands of digits
            raise CorpusError(f"{path}: a label is none: {error}") from error
    try:
        array = as_array(found)
    except ValueError as error:
        raise CorpusError(f"{path}: neither a dict nor a list of centres") from error
    if array.ndim < 2:
        raise CorpusError(f"{path}: neither a dict nor a list of centres")
    return {str(label): centre for label, centre in enumerate(array)}


def _unit_rows(path: Path, rows: Iterable[tuple[str, object]], count: int) -> NDArray[np.float32]:
    matrix: NDArray[np.float32] | None = None
    for number, (what, value) in enumerate(rows):
        try:
            row = as_array(value).reshape(-1)
        except ValueError as error:
            raise CorpusError(f"{path}: {what} has {error}") from error
        if matrix is None:
            matrix = np.empty((count, row.size), dtype=np.float32)
        if row.size != matrix.shape[1]:
            raise CorpusError(f"{path}: {what} has {row.size} dimensions, not {matrix.shape[1]}")
        length = float(np.linalg.norm(row.astype(np.float64)))
        if not 0 < length < float("inf"):
            raise CorpusError(f"{path}: {what} has a vector of length {length}")
        matrix[number] = row / length
    if matrix is None:
        raise CorpusError(f"{path}: no vector in it")
    return matrix


def some(labels: Iterable[str]) -> str:
    """At most eight labels, and how many more there are."""
    every = list(labels)
    more = f" and {len(every) - 8} more" if len(every) > 8 else ""
    return ", ".join(map(repr, every[:8])) + more

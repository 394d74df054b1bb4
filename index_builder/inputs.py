"""What a build starts from, and the name of it."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.generation.files import sha256_of
from index_builder.base import Base
from index_builder.corpus.ingest import Ingested
from index_builder.settings import Settings
from index_builder.without import Left

BUILDER = 12
"""Raised when the same inputs are to give another generation."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a build starts from; see ``build``.

    ``labels``, ``vectors`` and ``centres`` come from course-project files; ``questions`` are real
    ones to measure recall with, instead of leaving documents out one at a time. ``base`` is a
    sealed generation whose clusters, placement and rows are kept. ``labelled`` is a file of labels
    (labels.py), to fit how sure an answer is. ``without`` are ids of documents to leave out.
    """

    corpus: Ingested
    model: Path
    questions: tuple[str, ...] = ()
    labels: NDArray[np.int32] | None = None
    vectors: NDArray[np.float32] | None = None
    centres: NDArray[np.float32] | None = None
    base: Path | None = None
    labelled: Path | None = None
    without: frozenset[str] = frozenset()


def remaining(inputs: Inputs, left: Left) -> Inputs:
    """The same of what is left of the corpus."""
    if left.places is None:
        return inputs
    labels, vectors, centres = inputs.labels, inputs.vectors, inputs.centres
    if vectors is not None:
        vectors = vectors[left.places]
    if labels is not None:  # a cluster without documents is none
        kept, renumbered = np.unique(labels[left.places], return_inverse=True)
        labels = np.asarray(renumbered, np.int32)
        centres = None if centres is None else centres[kept]
    return replace(inputs, corpus=left.corpus, labels=labels, vectors=vectors, centres=centres)


def inputs_hash(
    inputs: Inputs,
    settings: Settings,
    fingerprint: str,
    base: Base | None,
    withdrawn: tuple[str, ...],
) -> str:
    """One sha256 (hex) of all that decides what a generation is: the same gives the same."""
    digest = hashlib.sha256()
    parts = [str(BUILDER), inputs.corpus.digest, fingerprint, *inputs.questions]
    shape = asdict(settings)
    for name in ("filterable", "also_search"):  # as before there were such settings
        if not shape[name]:
            del shape[name]
    parts.append(msgspec.json.encode(shape).decode())
    if inputs.labelled is not None:
        parts.append(f"labels {sha256_of(inputs.labelled)}")
    if base is not None:
        parts.append(f"base {base.manifest.content_hash}")
    parts += [f"without {name}" for name in withdrawn]
    digest.update("\n".join(parts).encode())
    for array in (inputs.labels, inputs.vectors, inputs.centres):
        digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

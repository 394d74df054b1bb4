"""Encode a corpus: in parallel, chunk by chunk, and on from where it was interrupted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.generation.engine import open_engine
from index_builder.corpus.ingest import Ingested
from index_builder.corpus.store import read_texts
from index_builder.encoding import EngineFactory, encode, opened
from index_builder.progress import Bar, Progress
from index_builder.vector_file import VectorFile, write_rows
from index_builder.workers import HERE, Workers

CHUNK = 128
"""Documents per chunk: under a second of work, the most that an interruption wastes per process."""
CHECKPOINT_SECONDS = 5.0


def embed(
    ingested: Ingested,
    model_dir: Path,
    workdir: Path,
    *,
    workers: Workers = HERE,
    progress: Progress | None = None,
    engine_factory: EngineFactory = open_engine,
) -> NDArray[np.float32]:
    """Encode every document; row i is the vector of the document with ordinal i.

    What is done is kept in `workdir/vectors/<digest>-<fingerprint>/`, so that the same call goes
    on where an earlier one stopped, and returns at once where that one was complete. A text's
    vector does not depend on its neighbours, so neither chunks nor workers change the result.

    Args:
        ingested: The corpus.
        model_dir: The model artefact.
        workdir: Where vectors are kept.
        workers: What encodes, each with its own engine.
        progress: Where to report to.
        engine_factory: Opens the artefact; must be importable by name where workers are elsewhere.

    Returns:
        (count, dim) float32, memory-mapped, read-only, rows of unit length.

    Raises:
        BuildError: Workers died again and again.
        EmbedError: The disk is too small, or the engine returned no vectors.
        ModelError: The artefact cannot be opened.
        KeyboardInterrupt: After saving and saying what is done.
    """
    progress = progress or Progress()
    engine = opened(engine_factory, model_dir.resolve())
    fingerprint, dim = engine.fingerprint, engine.dim
    del engine
    key = f"{ingested.digest[:16]}-{fingerprint}"
    with VectorFile(
        workdir / "vectors" / key, count=ingested.count, dim=dim, chunk=CHUNK
    ) as vectors:
        missing = vectors.missing
        if not missing:
            opened.cache_clear()
            progress.say(f"encoding: all {vectors.count:,} documents are encoded already")
            return vectors.matrix()
        if vectors.rows_done:
            progress.say(f"encoding: resuming at {vectors.rows_done:,} of {vectors.count:,}")
        if len(missing) == 1:
            workers = HERE
        if workers.elsewhere:
            opened.cache_clear()  # each worker opens its own
        try:
            with progress.bar(
                "encoding", vectors.count, "documents", done=vectors.rows_done
            ) as bar:
                model = workers.model(model_dir)
                calls = (
                    (engine_factory, model, read_texts(ingested.documents, start, stop), start)
                    for start, stop in map(vectors.rows, missing)
                )
                _collect(workers.each(encode, calls), missing, vectors, bar)
        except KeyboardInterrupt:
            progress.say(
                f"interrupted: {vectors.rows_done:,} of {vectors.count:,} documents are encoded"
                " and kept; the same command resumes there"
            )
            raise
        finally:
            opened.cache_clear()
        return vectors.matrix()


def _collect(
    finished: Iterator[tuple[int, NDArray[np.float32]]],
    missing: Sequence[int],
    vectors: VectorFile,
    bar: Bar,
) -> None:
    saved = time.monotonic()
    for number, rows in finished:
        chunk = missing[number]
        write_rows(vectors.directory, vectors.rows(chunk)[0], rows)
        vectors.mark(chunk)
        bar.update(len(rows))
        if time.monotonic() - saved >= CHECKPOINT_SECONDS:
            vectors.checkpoint()
            saved = time.monotonic()

"""Encode a corpus: in parallel, chunk by chunk, and on from where it was interrupted."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import EmbedError
from app.generation.engine import open_engine
from index_builder.corpus.ingest import Ingested
from index_builder.encoding_pool import EngineFactory, Job, Task, encode_here, encode_in_pool
from index_builder.progress import Bar, Progress
from index_builder.vector_file import VectorFile

CHUNK = 128
"""Documents per chunk: under a second of work, the most that an interruption wastes per process."""
CHECKPOINT_SECONDS = 5.0


def embed(
    ingested: Ingested,
    model_dir: Path,
    workdir: Path,
    *,
    processes: int = 1,
    progress: Progress | None = None,
    engine_factory: EngineFactory = open_engine,
) -> NDArray[np.float32]:
    """Encode every document; row i is the vector of the document with ordinal i.

    What is done is kept in `workdir/vectors/<digest>-<fingerprint>/`, so that the same call goes
    on where an earlier one stopped, and returns at once where that one was complete. A text's
    vector does not depend on its neighbours, so neither chunks nor processes change the result.

    Args:
        ingested: The corpus.
        model_dir: The model artefact.
        workdir: Where vectors are kept.
        processes: Worker processes, each with its own engine and one thread. 1: none but this one.
        progress: Where to report to.
        engine_factory: Opens the artefact; must be importable by name where processes > 1.

    Returns:
        (count, dim) float32, memory-mapped, read-only, rows of unit length.

    Raises:
        EmbedError: A worker died, the disk is too small, or the engine returned no vectors.
        ModelError: The artefact cannot be opened.
        KeyboardInterrupt: After saving and saying what is done.
    """
    progress = progress or Progress()
    engine = engine_factory(model_dir)
    key = f"{ingested.digest[:16]}-{engine.fingerprint}"
    with VectorFile(
        workdir / "vectors" / key, count=ingested.count, dim=engine.dim, chunk=CHUNK
    ) as vectors:
        missing = vectors.missing
        if not missing:
            progress.say(f"encoding: all {vectors.count:,} documents are encoded already")
            return vectors.matrix()
        if vectors.rows_done:
            progress.say(f"encoding: resuming at {vectors.rows_done:,} of {vectors.count:,}")
        job = Job(ingested.documents, vectors.directory, model_dir, engine_factory)
        tasks = [Task(chunk, *vectors.rows(chunk)) for chunk in missing]
        workers = min(processes, len(tasks))
        try:
            with progress.bar(
                "encoding", vectors.count, "documents", done=vectors.rows_done
            ) as bar:
                if workers > 1:
                    del engine  # each worker opens its own
                    _collect(encode_in_pool(job, tasks, workers), vectors, bar)
                else:
                    _collect(encode_here(job, tasks, engine), vectors, bar)
        except KeyboardInterrupt:
            progress.say(
                f"interrupted: {vectors.rows_done:,} of {vectors.count:,} documents are encoded"
                " and kept; the same command resumes there"
            )
            raise
        except BrokenProcessPool as error:
            raise EmbedError(
                "a worker process died while encoding (killed, or out of memory); "
                f"{vectors.rows_done:,} of {vectors.count:,} documents are encoded and kept: "
                "run the same command again, with fewer --processes if memory is short"
            ) from error
        return vectors.matrix()


def _collect(finished: Iterable[Task], vectors: VectorFile, bar: Bar) -> None:
    saved = time.monotonic()
    for task in finished:
        vectors.mark(task.chunk)
        bar.update(task.stop - task.start)
        if time.monotonic() - saved >= CHECKPOINT_SECONDS:
            vectors.checkpoint()
            saved = time.monotonic()

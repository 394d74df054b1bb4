"""Encode a chunk of a corpus: what a worker does, with an engine that it opens once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.errors import EmbedError
from app.generation.engine import Engine

EngineFactory: TypeAlias = Callable[[Path], Engine]


def encode(
    engine_factory: EngineFactory, model: Path, texts: Sequence[str], start: int
) -> NDArray[np.float32]:
    """The vectors (len(texts), dim) of documents, of which the first has the ordinal ``start``.

    Raises:
        EmbedError: The engine returned something else than unit vectors.
    """
    engine = opened(engine_factory, model)
    rows = np.asarray(engine.encode(texts, "document"))
    wanted = (len(texts), engine.dim)
    if rows.shape != wanted or rows.dtype != np.float32:
        raise EmbedError(
            f"documents {start}…{start + len(texts) - 1}: the engine gave {rows.dtype} "
            f"{rows.shape}, not float32 {wanted}"
        )
    lengths = np.linalg.norm(rows, axis=1)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))
    if wrong.size:
        raise EmbedError(
            f"document {start + wrong[0]} ({texts[wrong[0]][:60]!r}): its vector has length"
            f" {lengths[wrong[0]]:.3f}, not 1"
        )
    return rows


@lru_cache(maxsize=1)
def opened(engine_factory: EngineFactory, directory: Path) -> Engine:
    """The engine of an artefact, opened once a process; a relative path is of one brought here."""
    if not directory.is_absolute():
        from distributed import get_worker  # not where everything runs in one process

        directory = Path(get_worker().local_directory) / directory
    return engine_factory(directory)

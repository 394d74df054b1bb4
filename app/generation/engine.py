"""Engines: a model artefact opened, text in, unit vectors out.

Each text is encoded alone (batch of one, no padding, one thread), so its vector never depends on
what is encoded beside it: the same text gives the same bits, in any batch, thread or process of
the same CPU and release.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.generation.engines.onnx import OnnxEngine, load_tokenizer, onnx_session
from app.generation.engines.torch import SentenceTransformersEngine
from app.generation.engines.usem3 import PIECES, Usem3Engine
from app.generation.model import TOKENIZER, Model, Side, cpu_flags


class Engine(Protocol):
    """What encodes: the encoder service, the index builder and tests depend on this alone."""

    fingerprint: str
    dim: int

    def encode(self, texts: Sequence[str], side: Side = "query") -> NDArray[np.float32]:
        """Unit vectors, shape (len(texts), dim); row i depends on texts[i] and ``side`` only.

        ``side`` says what the texts are: questions, or the documents they are compared with.
        """
        ...


def open_engine(directory: Path, *, threads: int = 1) -> Engine:
    """Open a model artefact with the variant that this host's CPU may run.

    Args:
        directory: a sealed artefact; sizes are checked here, checksums by ``Model.verify``.
        threads: of one forward pass. One is the fastest per core, and what publishing measured.

    Raises: ModelError naming the file at fault or the package that is missing.
    """
    model = Model.load(directory)
    file = directory / model.variant_for(cpu_flags()).file
    if model.engine == "onnx":
        tokenizer = load_tokenizer(directory / TOKENIZER, model.max_tokens)
        return OnnxEngine(
            onnx_session(file, threads), tokenizer, model.fingerprint, model.dim, model.sides
        )
    if model.engine == "usem3":
        return Usem3Engine(
            file,
            directory / PIECES,
            model.fingerprint,
            model.dim,
            model.max_tokens,
            model.sides,
            threads=threads,
        )
    return SentenceTransformersEngine(
        file, model.fingerprint, model.dim, model.max_tokens, model.sides, threads=threads
    )

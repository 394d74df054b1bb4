"""Models that cannot become a graph, run by sentence-transformers on torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import ModelError
from app.generation.model import Model


class SentenceTransformersEngine:
    """The reference: sentence-transformers on torch, for models that cannot become a graph."""

    def __init__(self, model: Model, directory: Path, threads: int = 1) -> None:
        try:
            import torch
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise ModelError(
                f"model {model.fingerprint} needs sentence-transformers, which is not installed "
                "here: pip install sentence-transformers into this virtualenv, or publish the "
                "model with --engine onnx"
            ) from error
        torch.set_num_threads(threads)
        self.fingerprint = model.fingerprint
        self.dim = model.dim
        self._model: Any = SentenceTransformer(str(directory), device="cpu", local_files_only=True)
        self._model.float().eval()
        self._model.max_seq_length = model.max_tokens
        self._prefix = model.prefix

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape (len(texts), dim)."""
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = self._model.encode(
                self._prefix + text, prompt="", normalize_embeddings=True, show_progress_bar=False
            )
        return vectors

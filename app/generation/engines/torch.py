"""Models that cannot become a graph, run by sentence-transformers on torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import ModelError
from app.generation.engines.base import Prepared, TextEngine
from app.generation.model import NO_PROMPTS, Model, Prompts, Side, Variant


class SentenceTransformersEngine(TextEngine):
    """A saved model as it is; pooling leaves the prompt out where the model itself says so."""

    def __init__(
        self,
        directory: Path,
        fingerprint: str,
        dim: int,
        max_tokens: int,
        prompts: Prompts = NO_PROMPTS,
        *,
        threads: int = 1,
    ) -> None:
        super().__init__(fingerprint, dim, prompts)
        try:
            import torch
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise ModelError(
                f"model {fingerprint} needs sentence-transformers, which is not installed "
                "here: pip install sentence-transformers into this virtualenv, or publish the "
                "model with --engine onnx"
            ) from error
        torch.set_num_threads(threads)
        self._model: Any = SentenceTransformer(str(directory), device="cpu", local_files_only=True)
        self._model.float().eval()
        if self._model.max_seq_length != max_tokens:
            self._model.max_seq_length = max_tokens

    def prepare(self, text: str, side: Side) -> Prepared:
        """The text itself: the model tokenizes it."""
        return Prepared(0, (text, side))

    def run(self, texts: Sequence[Prepared]) -> NDArray[np.float32]:
        """The vector (1, dim) of one text."""
        text, side = texts[0].content
        model = self._model
        encode = model.encode_query if side == "query" else model.encode_document
        vector: NDArray[np.float32] = encode(
            text,
            prompt=self._prompts.of(side).text,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return vector.reshape(1, -1)


def open_artefact(
    directory: Path, model: Model, variant: Variant, threads: int
) -> SentenceTransformersEngine:
    """Open the saved model of an artefact; raises ModelError where the package is missing."""
    return SentenceTransformersEngine(
        directory / variant.file,
        model.fingerprint,
        model.dim,
        model.max_tokens,
        model.sides,
        threads=threads,
    )

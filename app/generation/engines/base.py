"""What all engines share: texts one by one, each behind the prompt of its side."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.generation.model import Prompts, Side


class TextEngine(ABC):
    """Encodes text by text; what a model is made of is the subclass's business."""

    def __init__(self, fingerprint: str, dim: int, prompts: Prompts) -> None:
        self.fingerprint = fingerprint
        self.dim = dim
        self._prompts = prompts

    def encode(self, texts: Sequence[str], side: Side = "query") -> NDArray[np.float32]:
        """Unit vectors, shape (len(texts), dim); threads may call this at the same time."""
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = self._vector(text, side)
        return vectors

    @abstractmethod
    def _vector(self, text: str, side: Side) -> NDArray[np.float32]:
        """The unit vector (dim,) of one text behind the prompt of its side."""

"""What all engines share: prompts, and passes of texts that may go together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.generation.model import Prompts, Side


@dataclass(frozen=True, slots=True)
class Prepared:
    """One text ready for a pass.

    ``group`` depends on this text only, and texts of one group may share a pass; ``content`` is the
    engine's own.
    """

    group: int
    content: Any


class TextEngine(ABC):
    """Encodes in passes; what a model is made of is the subclass's business.

    ``largest`` is how many texts a pass takes at most such that every vector has the bits it has
    alone. Threads may call every method at the same time.
    """

    largest = 1

    def __init__(self, fingerprint: str, dim: int, prompts: Prompts) -> None:
        self.fingerprint = fingerprint
        self.dim = dim
        self._prompts = prompts

    def most(self, _group: int) -> int:
        """How many texts of a group one pass takes, 1 to ``largest``."""
        return self.largest

    @abstractmethod
    def prepare(self, text: str, side: Side) -> Prepared:
        """A text behind the prompt of its side, ready for a pass."""

    @abstractmethod
    def run(self, texts: Sequence[Prepared]) -> NDArray[np.float32]:
        """One pass: unit vectors (len(texts), dim) of one group, at most ``most`` of them."""

    def encode(self, texts: Sequence[str], side: Side = "query") -> NDArray[np.float32]:
        """Unit vectors, shape (len(texts), dim), in as few passes as groups allow."""
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        prepared = [self.prepare(text, side) for text in texts]
        for rows in passes([one.group for one in prepared], self.most):
            vectors[rows] = self.run([prepared[row] for row in rows])
        return vectors


def passes(groups: Sequence[int], most: Callable[[int], int]) -> list[list[int]]:
    """Which texts go together: rows of one group each, in order, as many as ``most`` says."""
    by_group: dict[int, list[int]] = {}
    for row, group in enumerate(groups):
        by_group.setdefault(group, []).append(row)
    return [
        rows[start : start + most(group)]
        for group, rows in by_group.items()
        for start in range(0, len(rows), most(group))
    ]

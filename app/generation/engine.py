"""Engines: a model artefact opened, text in, unit vectors out.

A vector never depends on what is encoded beside it: the same text gives the same bits, in any
batch, thread or process of the same CPU and release.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.generation.engines.base import Prepared, TextEngine
from app.generation.engines.table import ENGINES
from app.generation.model import Model, Side, Variant, cpu_flags

Open = Callable[[Path, Model, Variant, int], TextEngine]


class Engine(Protocol):
    """What encodes: the index builder and tests depend on this alone."""

    fingerprint: str
    dim: int

    def encode(self, texts: Sequence[str], side: Side = "query") -> NDArray[np.float32]:
        """Unit vectors, shape (len(texts), dim); row i depends on texts[i] and ``side`` only.

        ``side`` says what the texts are: questions, or the documents they are compared with.
        """
        ...


class PassEngine(Engine, Protocol):
    """An engine whose passes the caller puts together, as the encoder service does."""

    largest: int

    def most(self, group: int, /) -> int:
        """How many texts of a group one pass takes, 1 to ``largest``."""
        ...

    def prepare(self, text: str, side: Side) -> Prepared:
        """A text behind the prompt of its side, ready for a pass with others of its group."""
        ...

    def run(self, texts: Sequence[Prepared]) -> NDArray[np.float32]:
        """Unit vectors (len(texts), dim) of at most ``most(group)`` texts of one group."""
        ...


def open_engine(directory: Path, *, threads: int = 1) -> PassEngine:
    """Open a model artefact with the variant that this host's CPU may run.

    Args:
        directory: a sealed artefact; sizes are checked here, checksums by ``Model.verify``.
        threads: of one forward pass. One is the fastest per core, and what publishing measured.

    Raises: ModelError naming the file at fault or the package that is missing.
    """
    model = Model.load(directory)
    module, _, name = ENGINES[model.engine].opens.partition(":")
    opens: Open = getattr(importlib.import_module(module), name)
    return opens(directory, model, model.variant_for(cpu_flags()), threads)

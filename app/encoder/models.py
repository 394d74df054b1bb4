"""The models an encoder serves: opened, verified, and asked one question before READY."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.errors import AskfleetError, ModelError
from app.generation.engine import Engine, PassEngine
from app.generation.model import REMEDY, Model, Side, cpu_flags
from app.generation.store import served

log = logging.getLogger(__name__)

# Another CPU's kernels round differently, in the sixth digit; a wrong or broken model is far off.
AGREEMENT = 0.9999
UNIT = 1e-3


@dataclass(frozen=True, slots=True)
class ServedModel:
    """An open engine, its artefact, and the precision of the variant it runs."""

    engine: PassEngine
    model: Model
    precision: str

    def self_query(self) -> None:
        """Encode the artefact's probe; raises ModelError when the vector is another."""
        self_query(self.engine, self.model)


def load_models(links: Path, opener: Callable[[Path], PassEngine]) -> dict[str, ServedModel]:
    """Open what ``current`` and ``previous`` name, self-query passed; ``current`` is a must.

    A ``previous`` that cannot serve is left out: it must not keep the current one from serving.

    Raises: GenerationError or ModelError about ``current``.
    """
    models: dict[str, ServedModel] = {}
    for name, directory in served(links).items():
        try:
            models[name] = _open(directory, opener)
        except AskfleetError as error:
            if name == "current":
                raise
            log.warning("the previous model is not served: %s", error)
    return models


def _open(directory: Path, opener: Callable[[Path], PassEngine]) -> ServedModel:
    model = Model.load(directory)
    model.verify(directory)
    one = ServedModel(opener(directory), model, model.variant_for(cpu_flags()).precision)
    one.self_query()
    return one


def self_query(engine: Engine, model: Model) -> None:
    """Encode the artefact's probe, alone and beside other texts of its length.

    Raises: ModelError when a vector is not the recorded one, or neighbours change its bits.
    """

    def require(condition: bool, fault: str) -> None:
        if not condition:
            raise ModelError(f"model {model.fingerprint}: self-query: {fault}: {REMEDY}")

    expected: dict[Side, tuple[float, ...]] = {"query": model.probe.vector}
    if model.two_sided:
        expected["document"] = model.probe.document
    for side, published in expected.items():
        text = model.probe.text
        vectors = engine.encode([text], side)
        require(vectors.shape == (1, model.dim), f"shape {vectors.shape}, not (1, {model.dim})")
        vector = vectors[0].astype(np.float64)
        require(bool(np.isfinite(vector).all()), "a value is not finite")
        length = float(np.linalg.norm(vector))
        require(abs(length - 1) < UNIT, f"length {length:.4f}, not 1")
        cosine = float(vector @ np.asarray(published))
        require(cosine >= AGREEMENT, f"cosine {cosine:.5f} to the published vector of a {side}")
        words = text.split()
        others = [" ".join([*words[n:], *words[:n]]) for n in range(1, 4)]
        beside = engine.encode([*others, text, *others], side)[len(others)]
        require(np.array_equal(beside, vectors[0]), f"neighbours change the vector of a {side}")

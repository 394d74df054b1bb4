"""Order candidates again by the words that they share with the question.

order = score + weight * coverage. ``score`` is the inner product. ``coverage`` is the weight of the
question's trigrams that a document has, over the weight of all of them. Weights are of the whole
corpus, each document counted once, and travel with the question. So a document has the same
coverage in whichever shard it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import GenerationError
from app.generation.arrays import read_array
from app.generation.manifest import WEIGHTS, Manifest, Rescoring
from app.generation.merge import merge_rescored
from app.generation.trigrams import BUCKETS, question_terms


@dataclass(frozen=True, slots=True)
class Rescorer:
    """What a gateway needs for it.

    Attributes:
        rescoring: weight and depth.
        weights: (65,536,) uint8, of each bucket.
    """

    rescoring: Rescoring
    weights: NDArray[np.uint8]

    @classmethod
    def load(cls, directory: Path, manifest: Manifest) -> Rescorer | None:
        """That of a generation; None where it orders by score alone; raises GenerationError."""
        if manifest.routing.rescoring is None:
            return None
        weights = read_array(directory / WEIGHTS, np.uint8)
        if weights.shape != (BUCKETS,):
            raise GenerationError(f"{directory / WEIGHTS} has shape {weights.shape}")
        return cls(manifest.routing.rescoring, weights)

    def terms(self, question: str) -> bytes:
        """What shards are sent of a question beside its vector."""
        return question_terms(question, self.weights)

    def order(
        self,
        ordinals: Sequence[int],
        scores: Sequence[float],
        coverage: Sequence[float],
        k: int,
    ) -> list[int]:
        """Positions of the ``k`` best; see ``merge.merge_rescored``."""
        return merge_rescored(ordinals, scores, coverage, k, self.rescoring)

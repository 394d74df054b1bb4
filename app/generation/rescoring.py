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
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import GenerationError
from app.generation.arrays import read_array
from app.generation.confidence import Features, probability
from app.generation.file_names import SHARDS_BY_NAME, WEIGHTS
from app.generation.manifest import Manifest
from app.generation.manifest_parts import Confidence, Rescoring
from app.generation.merge import Pool, Ranking, merge_rescored
from app.generation.names import HELD, MAX_NAMES, Holders, names
from app.generation.terms import pack_terms
from app.generation.trigrams import BUCKETS, folded, trigrams


class Terms(NamedTuple):
    """What shards are sent of a question beside its vector, and who has its names.

    ``holders`` are, for each document that has one of its names, the shards that store it.
    """

    packed: bytes
    holders: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Rescorer:
    """What a gateway needs for it.

    Attributes:
        rescoring: weight, depth, and how many documents may share a name.
        weights: (65,536,) uint8, of each bucket.
        names: who has the documents of a name; None where no names are sealed.
        model: of the confidence; None without labels.
    """

    rescoring: Rescoring
    weights: NDArray[np.uint8]
    names: Holders | None = None
    model: Confidence | None = None

    @classmethod
    def load(cls, directory: Path, manifest: Manifest) -> Rescorer | None:
        """That of a generation; None where it orders by score alone; raises GenerationError."""
        rescoring = manifest.routing.rescoring
        if rescoring is None:
            return None
        weights = read_array(directory / WEIGHTS, np.uint8)
        if weights.shape != (BUCKETS,):
            raise GenerationError(f"{directory / WEIGHTS} has shape {weights.shape}")
        if not rescoring.sharing:
            return cls(rescoring, weights, None, manifest.routing.confidence)
        held = read_array(directory / SHARDS_BY_NAME, HELD)
        if len(held) and int(held["shard"].max()) >= len(manifest.shards):
            raise GenerationError(f"{directory / SHARDS_BY_NAME} names a shard that is not there")
        return cls(rescoring, weights, Holders(held), manifest.routing.confidence)

    def terms(self, question: str) -> Terms:
        """The words of a question."""
        text = folded(question)
        known: list[int] = []
        holders: list[list[int]] = []
        if self.names is not None:
            for name in names(text):
                if shards := self.names.shards(name):
                    known.append(name)
                    holders += shards
                    if len(known) == MAX_NAMES:
                        break
        return Terms(pack_terms(text, self.weights, known), holders)

    def reach(
        self, asked: NDArray[np.bool_], terms: Sequence[Terms], holding: NDArray[np.bool_]
    ) -> None:
        """Ask more shards where none that is asked stores a document with a question's name.

        Args:
            asked: (n, shards) who is asked already; changed in place.
            terms: of each question.
            holding: (shards,) who may be asked: those that own documents that pass.
        """
        for row, own in zip(asked, terms, strict=True):
            for shards in own.holders:
                may = [shard for shard in shards if holding[shard]]
                if may and not row[shards].any():
                    row[may[0]] = True

    def rank(self, pool: Pool, k: int) -> Ranking:
        """The ``k`` best; see ``merge.merge_rescored``."""
        return merge_rescored(pool, k, self.rescoring)

    def wanted(self, k: int) -> int:
        """How many documents to ask shards for: a confidence needs the second."""
        return k if self.model is None else max(k, 2)

    def features(self, question: str, text: str, pool: Pool, ranking: Ranking) -> Features:
        """What is known of an answer whose first result has this ``text``."""
        first = ranking.positions[0]
        asked, _ = trigrams([folded(question)])
        held, _ = trigrams([folded(text)])
        weighed = self.weights[held].astype(np.int64)
        shared = int(weighed[np.isin(held, asked)].sum())
        return Features(
            pool.scores[first],
            ranking.margin,
            pool.coverage[first],
            shared / max(int(weighed.sum()), 1),
            ranking.least,
        )

    def confidence(self, question: str, text: str, pool: Pool, ranking: Ranking) -> float | None:
        """How sure the answer is; None where the generation was built without labels."""
        if self.model is None or not ranking.positions:
            return None
        return probability(self.model, self.features(question, text, pool, ranking))

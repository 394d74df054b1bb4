"""Answer questions from a sealed generation in one process, as the fleet would."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.generation.manifest import Manifest
from app.generation.merge import merge
from app.generation.routing import Probe, Router
from app.generation.shard_part import Hit, ShardPart


@dataclass(frozen=True, slots=True)
class Replayed:
    """Answers per question, best first, and the mean number of shards asked."""

    hits: list[list[Hit]]
    fan_out: float

    @property
    def ids(self) -> list[list[str]]:
        """The documents' ids per question."""
        return [[hit.row.id for hit in hits] for hits in self.hits]


class Replay:
    """A whole generation in one process."""

    def __init__(self, directory: Path) -> None:
        self.manifest = Manifest.load(directory)
        self._router = Router.load(directory, self.manifest)
        self._parts = [
            ShardPart.open(directory, shard) for shard in range(len(self.manifest.shards))
        ]

    def search(self, queries: NDArray[np.float32], k: int, probe: Probe) -> Replayed:
        """Answer questions (n, dim) through routing, shards and merge."""
        asked = self._router.probe(queries, probe)
        found: list[list[Hit]] = [[] for _ in queries]
        for shard, part in enumerate(self._parts):
            places = np.flatnonzero(asked[:, shard])
            for place, hits in zip(places, part.search(queries[places], k), strict=True):
                found[place] += hits
        answers = []
        for hits in found:
            ordinals = [hit.row.ordinal for hit in hits]
            scores = [hit.score for hit in hits]
            answers.append([hits[at] for at in merge(ordinals, scores, k)])
        return Replayed(answers, float(asked.sum(axis=1).mean()))

"""Answer questions from a sealed generation in one process, as the fleet would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.generation.filtering import Filtering
from app.generation.filters import filter_text
from app.generation.manifest import Manifest
from app.generation.merge import Pool, merge
from app.generation.rescoring import Rescorer
from app.generation.routing import Probe, Router
from app.generation.shard_part import Found, Hit, ShardPart


@dataclass(frozen=True, slots=True)
class Replayed:
    """Answers per question, best first, how sure each is, and which shards (n, shards) it asks."""

    hits: list[list[Hit]]
    confidence: list[float | None]
    asked: NDArray[np.bool_]

    @property
    def fan_out(self) -> float:
        """The mean number of shards asked."""
        return float(self.asked.sum(axis=1).mean())

    @property
    def ids(self) -> list[list[str]]:
        """The documents' ids per question."""
        return [[hit.row.id for hit in hits] for hits in self.hits]


class Replay:
    """A whole generation in one process.

    Args:
        directory: the generation.
        weight: of words, instead of the generation's own.
        names: whether names may bring their documents.

    Raises: GenerationError where it is damaged.
    """

    def __init__(self, directory: Path, *, weight: float | None = None, names: bool = True) -> None:
        self.manifest = Manifest.load(directory)
        self._router = Router.load(directory, self.manifest)
        self._rescorer = Rescorer.load(directory, self.manifest)
        self._filtering = Filtering.load(directory, self.manifest)
        self._parts = [
            ShardPart.open(directory, shard) for shard in range(len(self.manifest.shards))
        ]
        if self._rescorer is not None and weight is not None:
            self._weigh(self._rescorer, weight)
        if self._rescorer is not None and not names:
            self._rescorer = replace(self._rescorer, names=None)

    def _weigh(self, rescorer: Rescorer, weight: float) -> None:
        rescoring = msgspec.structs.replace(rescorer.rescoring, weight=weight)
        self._rescorer = replace(rescorer, rescoring=rescoring)
        routing = msgspec.structs.replace(self.manifest.routing, rescoring=rescoring)
        self.manifest = msgspec.structs.replace(self.manifest, routing=routing)
        for part in self._parts:
            part.manifest = self.manifest

    def withdraw(self, ids: frozenset[str]) -> None:
        """Answer without these documents from now on, as a fleet does that knows of it."""
        for part in self._parts:
            part.withdraw(ids)

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        probe: Probe,
        texts: Sequence[str] = (),
        wanted: Mapping[str, object] | None = None,
    ) -> Replayed:
        """Answer questions (n, dim) through routing, shards and merge.

        With their ``texts`` as a gateway does by default; without them as with ``rescore=0``.
        ``wanted`` is a filter.

        Raises: ProblemError 400 where the generation has no field that a filter names.
        """
        passing = filter_text(wanted) if wanted else ""
        passed = self._filtering.passed(passing) if passing and self._filtering else None
        rescorer = self._rescorer if texts else None
        terms = list(map(rescorer.terms, texts)) if rescorer else []
        asked = self._router.probe(queries, probe, passed)
        if rescorer and probe == "auto":
            rescorer.reach(asked, terms, self._router.holding(passed))
        needed = rescorer.wanted(k) if rescorer else k
        found: list[list[Found]] = [[] for _ in queries]
        for shard, part in enumerate(self._parts):
            places = np.flatnonzero(asked[:, shard])
            own = [terms[place].packed for place in places] if terms else ()
            answers = part.search(queries[places], needed, own, part.passing(passing))
            for place, one in zip(places, answers, strict=True):
                found[place].append(one)
        merged = [
            _merged(offered, k, rescorer, texts[place] if texts else "")
            for place, offered in enumerate(found)
        ]
        hits, confidence = [one for one, _ in merged], [sure for _, sure in merged]
        return Replayed(hits, confidence, asked)


def _merged(
    offered: Sequence[Found], k: int, rescorer: Rescorer | None, question: str
) -> tuple[list[Hit], float | None]:
    hits = list(chain.from_iterable(one.hits for one in offered))
    rows = [hit.row for hit in hits]
    ordinals = [row.ordinal for row in rows]
    scores = [hit.score for hit in hits]
    if rescorer is None:
        return [hits[at] for at in merge(ordinals, scores, k)], None
    for one in offered:
        ordinals += one.ordinals
        scores += one.scores
    coverage = [hit.lexical or 0.0 for hit in hits]
    pool = Pool(ordinals, scores, coverage, [at for at, hit in enumerate(hits) if hit.named])
    ranking = rescorer.rank(pool, k)
    first = rows[ranking.positions[0]].text if ranking.positions else ""
    sure = rescorer.confidence(question, first, pool, ranking)
    return [hits[at] for at in ranking.positions], sure

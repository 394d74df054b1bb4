"""One search: encode, route, ask the shards side by side, merge."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.errors import ProblemError
from app.gateway.body import SearchRequest
from app.gateway.upstream import Call, ShardHit, UpstreamError
from app.generation.manifest import Manifest
from app.generation.merge import merge
from app.generation.routing import Router

log = logging.getLogger(__name__)


class Backend(Protocol):
    """What a search needs of the fleet; ``Upstream`` over HTTP, a fake in tests."""

    def encode(
        self, texts: tuple[str, ...], model: str, dim: int, call: Call
    ) -> NDArray[np.float32]:
        """Vectors (n, dim)."""

    def search(
        self,
        shard: int,
        queries: NDArray[np.float32],
        generation: str,
        model: str,
        k: int,
        call: Call,
    ) -> list[list[ShardHit]]:
        """Hits per question."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The answer to one question: hits, best first; shards asked; shards that did not answer."""

    hits: list[ShardHit]
    asked: list[int]
    missing: list[int]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Answers in the order of the questions, and milliseconds per step."""

    queries: list[QueryResult]
    timings: dict[str, float]


class Searcher:
    """Answers searches on one generation, by its router."""

    def __init__(
        self, manifest: Manifest, router: Router, backend: Backend, executor: Executor
    ) -> None:
        self.manifest = manifest
        self._router = router
        self._backend = backend
        self._executor = executor

    def search(self, wanted: SearchRequest, call: Call) -> SearchResult:
        """Answer ``wanted``; a shard that does not answer makes the result partial.

        Raises: ProblemError 503 when the encoder, or every shard asked, does not answer;
            504 when the deadline has passed.
        """
        clock = time.perf_counter
        start = clock()
        model = self.manifest.model
        try:
            vectors = self._backend.encode(wanted.queries, model.fingerprint, model.dim, call)
        except UpstreamError as error:
            log.warning("encoder: %s", error)
            raise ProblemError(
                503, "encoder_unavailable", "no encoder answers; try again", retry_after=2
            ) from error
        encoded = clock()
        asked = self._router.probe(vectors, wanted.probe)
        routed = clock()
        answers = self._ask(vectors, asked, wanted.k, call)
        searched = clock()
        queries = [
            _merged(place, np.flatnonzero(asked[place]).tolist(), answers, wanted.k)
            for place in range(len(vectors))
        ]
        if answers and all(answer is None for answer in answers.values()):
            raise ProblemError(
                503, "shards_unavailable", "no shard that was asked answers", retry_after=2
            )
        steps = {
            "encode": encoded - start,
            "route": routed - encoded,
            "search": searched - routed,
            "merge": clock() - searched,
            "total": clock() - start,
        }
        return SearchResult(queries, {name: round(s * 1e3, 2) for name, s in steps.items()})

    def _ask(
        self, vectors: NDArray[np.float32], asked: NDArray[np.bool_], k: int, call: Call
    ) -> dict[int, dict[int, list[ShardHit]] | None]:
        """Per shard asked: hits by the question's place, or None when it did not answer."""
        pending: list[tuple[int, NDArray[np.intp], Future[list[list[ShardHit]]]]] = []
        for shard in np.flatnonzero(asked.any(axis=0)).tolist():
            places = np.flatnonzero(asked[:, shard])
            future = self._executor.submit(
                self._backend.search,
                shard,
                vectors[places],
                self.manifest.id,
                self.manifest.model.fingerprint,
                k,
                call,
            )
            pending.append((shard, places, future))
        answers: dict[int, dict[int, list[ShardHit]] | None] = {}
        for shard, places, future in pending:
            try:
                hits = future.result()
                answers[shard] = dict(zip(places.tolist(), hits, strict=True))
            except (UpstreamError, ProblemError) as error:
                log.warning("shard %d: %s", shard, error)
                answers[shard] = None
        return answers


def _merged(
    place: int,
    asked: list[int],
    answers: dict[int, dict[int, list[ShardHit]] | None],
    k: int,
) -> QueryResult:
    hits: list[ShardHit] = []
    missing: list[int] = []
    for shard in asked:
        answer = answers[shard]
        if answer is None:
            missing.append(shard)
        else:
            hits += answer[place]
    ordinals = np.fromiter((hit.ordinal for hit in hits), np.int64, len(hits))
    scores = np.fromiter((hit.score for hit in hits), np.float32, len(hits))
    return QueryResult([hits[at] for at in merge(ordinals, scores, k)], asked, missing)


def result_json(result: QueryResult) -> dict[str, Any]:
    """The public form of one answer."""
    return {
        "results": [
            {
                "id": hit.id,
                "text": hit.text,
                "answer": hit.answer,
                "score": hit.score,
                "metadata": hit.metadata,
            }
            for hit in result.hits
        ],
        "partial": bool(result.missing),
        "shards_asked": result.asked,
        "shards_missing": result.missing,
    }

"""One search: encode, route, ask the shards side by side, merge."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.errors import ProblemError
from app.gateway.body import SearchRequest
from app.gateway.call import Call, PoolsGoneError, UpstreamError
from app.gateway.merging import Answers, leave_out, merged, visible
from app.gateway.results import QueryResult, SearchResult
from app.gateway.upstream import Candidates, Wanted
from app.generation.filtering import Filtering
from app.generation.filters import conditions
from app.generation.manifest import Manifest
from app.generation.rescoring import Rescorer
from app.generation.routing import Passed, Probe, Router
from app.generation.terms import for_one_shard
from app.service.cache import MAX_CHARACTERS, Cache
from app.service.refusal import refusal_status
from app.service.withdrawn import Now

log = logging.getLogger(__name__)

T = TypeVar("T")


class Backend(Protocol):
    """What a search needs of the fleet; ``Upstream`` over HTTP, a fake in tests."""

    async def encode(
        self, texts: tuple[str, ...], model: str, dim: int, call: Call
    ) -> NDArray[np.float32]:
        """Vectors (n, dim)."""

    def search(self, shard: int, wanted: Wanted, call: Call) -> Awaitable[list[Candidates]]:
        """Candidates per question, on their way."""


# Question, k, probe, rescore, filter: what an answer depends on.
_Key = tuple[str, int, Probe, bool, str]
# Where nothing is ever withdrawn.
NEVER = Now()
STEPS = ("encode", "route", "search", "merge")
# How much a gateway remembers of one generation's answers, in bytes, and about what an answer, and
# each hit, take beside their texts. A filter that nothing passes gives answers without hits.
REMEMBERED = 32 << 20
ANSWER_BYTES = 500
HIT_BYTES = 400


class Searcher:
    """Answers searches on one generation, by its router, and remembers whole answers.

    What is remembered is of this generation alone, and goes with it. Nothing of it outlives a
    document's withdrawal or its return; ``now`` tells what is withdrawn.
    """

    def __init__(
        self,
        manifest: Manifest,
        router: Router,
        backend: Backend,
        rescorer: Rescorer | None = None,
        filtering: Filtering | None = None,
        now: Callable[[], Now] = lambda: NEVER,
    ) -> None:
        self.manifest = manifest
        self._now = now
        self._then = now()
        self._router = router
        self._rescorer = rescorer
        self.filtering = filtering
        self._backend = backend
        self.remembered: Cache[_Key, QueryResult] = Cache(REMEMBERED)

    def tells_confidence(self, wanted: SearchRequest) -> bool:
        """Whether answers say how sure they are."""
        return wanted.rescore and self._rescorer is not None and self._rescorer.model is not None

    def self_query(self) -> None:
        """Route one vector; asks neither encoder nor shards."""
        self._router.probe(self._router.centroids[:1])

    async def search(
        self, wanted: SearchRequest, call: Call, *, remember: bool = False
    ) -> SearchResult:
        """Answer ``wanted``; a shard that does not answer makes the result partial.

        Args:
            wanted: the questions.
            call: the deadline, and headers for all calls.
            remember: whether answers may come from, and go into, what is remembered.

        Raises: ProblemError 400 when the generation has no field that the filter names; 503 when
            the encoder, or every shard asked, does not answer; 502 when this gateway reaches no
            pool; 504 when the time was up before any shard answered.
        """
        start = time.perf_counter()
        passed = self._passed(wanted.filter)
        begun = self._now()
        if begun is not self._then:
            self._then = begun
            self.remembered.clear()
        keys: list[_Key] = [
            (question, wanted.k, wanted.probe, wanted.rescore, wanted.filter)
            for question in wanted.queries
        ]
        known = [self.remembered.get(key) if remember else None for key in keys]
        missing = [place for place, result in enumerate(known) if result is None]
        timings = dict.fromkeys(STEPS, 0.0)
        results: list[QueryResult] = []
        if missing:
            new = tuple(wanted.queries[place] for place in missing)
            results, timings = await self._search(replace(wanted, queries=new), passed, call)
            for place, result in zip(missing, results, strict=True):
                known[place] = result
                whole = not result.missing and len(keys[place][0]) <= MAX_CHARACTERS
                if remember and whole and begun.agreed and begun is self._now():
                    own = ANSWER_BYTES + len(keys[place][0]) + len(wanted.filter)
                    weight = own + _weight(result)
                    self.remembered.put(keys[place], result, weight)
        timings["total"] = time.perf_counter() - start
        queries = [result for result in known if result is not None]
        if begun is not (now := self._now()):  # maybe withdrawn while this was under way
            queries = [replace(one, hits=visible(one.hits, now.ids)) for one in queries]
        spent = {name: round(s * 1e3, 2) for name, s in timings.items()}
        return SearchResult(queries, results, spent)

    def _passed(self, wanted: str) -> Passed | None:
        """What passes a filter; raises ProblemError 400 where there is no such field."""
        if not wanted:
            return None
        if self.filtering is None:
            conditions(wanted, ())
            return None
        return self.filtering.passed(wanted)

    async def _search(
        self, wanted: SearchRequest, passed: Passed | None, call: Call
    ) -> tuple[list[QueryResult], dict[str, float]]:
        """Answers, and seconds per step."""
        clock = time.perf_counter
        start = clock()
        model = self.manifest.model
        try:
            vectors = await self._backend.encode(wanted.queries, model.fingerprint, model.dim, call)
        except PoolsGoneError as error:
            log.warning("encoder: %s", error)
            raise _pools_unavailable() from error
        except UpstreamError as error:
            log.warning("encoder: %s", error)
            raise ProblemError(
                503, "encoder_unavailable", "no encoder answers; try again", retry_after=2
            ) from error
        encoded = clock()
        asked = self._router.probe(vectors, wanted.probe, passed)
        rescorer = self._rescorer if wanted.rescore else None
        terms = tuple(map(rescorer.terms, wanted.queries)) if rescorer else ()
        if rescorer and wanted.probe == "auto":
            rescorer.reach(asked, terms, self._router.holding(passed))
        routed = clock()
        packed = tuple(
            for_one_shard(own.packed) if np.count_nonzero(row) == 1 else own.packed
            for own, row in zip(terms, asked, strict=False)
        )
        k = rescorer.wanted(wanted.k) if rescorer else wanted.k
        question = Wanted(vectors, self.manifest.id, model.fingerprint, k, packed, wanted.filter)
        answers = await self._ask(question, asked, call)
        searched = clock()
        leave_out(self._now().ids, answers)
        queries = [
            merged(place, np.flatnonzero(asked[place]).tolist(), answers, wanted, rescorer)
            for place in range(len(vectors))
        ]
        if answers and all(answer is None for answer in answers.values()):
            raise ProblemError(
                503, "shards_unavailable", "no shard that was asked answers", retry_after=2
            )
        ends = (start, encoded, routed, searched, clock())
        spent = (after - before for before, after in pairwise(ends))
        return queries, dict(zip(STEPS, spent, strict=True))

    async def _ask(self, wanted: Wanted, asked: NDArray[np.bool_], call: Call) -> Answers:
        """What each shard that is ``asked`` (n, shards) has for its questions."""
        shards = np.flatnonzero(asked.any(axis=0)).tolist()
        places = {shard: np.flatnonzero(asked[:, shard]) for shard in shards}

        def ask(shard: int) -> asyncio.Future[list[Candidates]]:
            found = self._backend.search(shard, wanted.at(places[shard]), call)
            return asyncio.ensure_future(found)

        found = await _all([ask(shard) for shard in shards])
        answers: Answers = {}
        spent: ProblemError | None = None
        for shard, hits in zip(shards, found, strict=True):
            if not isinstance(hits, BaseException):
                answers[shard] = dict(zip(places[shard].tolist(), hits, strict=True))
                continue
            if not isinstance(hits, (UpstreamError, ProblemError)):
                raise hits
            log.warning("shard %d: %s", shard, hits)
            if isinstance(hits, PoolsGoneError):
                raise _pools_unavailable() from hits
            answers[shard] = None
            spent = hits if isinstance(hits, ProblemError) else spent
        if spent and not any(answer is not None for answer in answers.values()):
            raise spent
        return answers


async def _all(under_way: Sequence[asyncio.Future[T]]) -> list[T | BaseException]:
    """The result or the exception of each, in order; none goes on when this is cancelled."""
    found: list[T | BaseException] = []
    try:
        for one in under_way:
            try:
                found.append(await one)
            except Exception as error:
                found.append(error)
    finally:
        for one in under_way:
            one.cancel()
    return found


def _pools_unavailable() -> ProblemError:
    """What another gateway can answer; the edge asks it."""
    return ProblemError(
        refusal_status("gateway"),
        "pools_unavailable",
        "nginx beside this gateway does not answer",
        retry_after=1,
    )


def _weight(result: QueryResult) -> int:
    return sum(
        HIT_BYTES + len(hit.text) + len(hit.answer or "") + len(bytes(hit.metadata))
        for hit in result.hits
    )

"""The shard service: searches its part of the current and the previous generation."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from prometheus_client import Counter

from app.config import ShardConfig
from app.errors import GenerationError, ProblemError
from app.generation.filters import MAX_FILTER
from app.generation.shard_part import ShardPart
from app.generation.store import served
from app.generation.terms import check_terms
from app.service.application import Application
from app.service.breaker import Breaker
from app.service.calls import Way
from app.service.health import broken, new_service
from app.service.lifecycle import Lifecycle
from app.service.request import Answer as HttpAnswer
from app.service.request import Request, check_waits
from app.service.threads import Threads
from app.service.withdrawn import Known, Watch
from app.shard.answer import answer_body
from app.shard.withdrawn import routes_of
from app.wire import (
    MODEL_HEADER,
    SLOTS_HEADER,
    WITHDRAWN_PATH,
    body_parts,
    type_f32,
    vectors_from_bytes,
)
from app.wire.frames import Answer, Search

log = logging.getLogger(__name__)

MAX_K = 1000
MAX_VECTORS = 1024
# Bytes of the words of all questions of a request: a gateway lets 8,000 characters in.
MAX_TERMS = 1 << 18
# A search that takes no longer, in seconds, is cheaper on the event loop than by way of a thread.
INLINE = 0.002


def load_parts(config: ShardConfig) -> dict[str, ShardPart]:
    """Open what ``current`` and ``previous`` name, self-query passed; ``current`` is a must.

    FAISS trusts its file, so checksums come first. That reads every byte once, and no
    question pays for page faults.

    A ``previous`` that cannot serve is left out: it must not keep the current one from serving.
    """
    parts: dict[str, ShardPart] = {}
    for name, directory in served(config.links).items():
        try:
            part = ShardPart.open(directory, config.shard, verify=True)
            part.self_query()
        except GenerationError as error:
            if name == "current":
                raise
            log.warning("the previous generation is not served: %s", error)
            continue
        parts[name] = part
    return parts


def create_app(config: ShardConfig) -> Application:
    """Build the service, load its generations and pass the self-query.

    Raises: GenerationError when the current generation cannot be served.
    """
    parts = load_parts(config)

    def self_query() -> None:
        for part in parts.values():
            part.self_query()

    breaker = Breaker(self_query)
    lifecycle = Lifecycle(config.drain_file, breaker, config.unit)
    by_id = {part.manifest.id: part for part in parts.values()}
    current = parts["current"]

    def withdraw(ids: frozenset[str]) -> None:
        try:
            for part in by_id.values():
                part.withdraw(ids)
        except GenerationError as error:
            breaker.damaged(str(error), lambda: withdraw(ids))
            raise

    known = Known(config.links, withdraw)

    def describe() -> dict[str, Any]:
        return {
            "shard": config.shard,
            "model": current.manifest.model.fingerprint,
            "generations": {
                name: parts[name].manifest.id if name in parts else None
                for name in ("current", "previous")
            },
            "documents": current.count,
            "withdrawn": known.describe(),
        }

    app = new_service("shard", config, lifecycle, describe)
    searches = Counter(
        "askfleet_shard_searches",
        "Vectors searched for.",
        registry=app.extensions["askfleet.metrics"].registry,
    )
    widest = max(part.manifest.model.dim for part in by_id.values())
    limit = MAX_VECTORS * widest * type_f32.itemsize + MAX_TERMS + MAX_FILTER
    threads = Threads(config.threads, "search")
    slots = min(config.threads, len(os.sched_getaffinity(0)))
    pace = dict.fromkeys(by_id, 0.0)  # seconds that a vector takes of late, by generation

    def part_of(generation: str, model: str) -> ShardPart:
        """The part that is asked; raises ProblemError 409, for who may ask another replica."""
        part = by_id.get(generation)
        if part is None:
            raise ProblemError(
                409,
                "generation_not_loaded",
                f"{config.unit} serves {', '.join(by_id)}, not generation {generation!r}",
                field="generation",
            )
        made_by = part.manifest.model.fingerprint
        if model != made_by:
            raise ProblemError(
                409,
                "model_mismatch",
                f"generation {generation} was made by model {made_by}, the question by "
                f"{model or None}",
            )
        return part

    def find(asked: Search, gone: Callable[[], bool]) -> Answer | Awaitable[Answer]:
        part = part_of(asked.generation, asked.model)
        queries = vectors_from_bytes(asked.vectors, part.manifest.model.dim)
        if len(queries) > MAX_VECTORS:
            raise ProblemError(413, "too_many", f"more than {MAX_VECTORS} vectors in one request")
        if not 1 <= asked.k <= MAX_K:
            raise ProblemError(400, "bad_k", f"k must be 1 to {MAX_K}", field="k")
        if asked.terms:
            check_terms(asked.terms, len(queries))
        inline = part.at_hand(asked.filter) and pace[asked.generation] * len(queries) <= INLINE

        def answer() -> Answer:
            check_waits(gone)
            passing = part.passing(asked.filter)
            begun = time.perf_counter()
            try:
                found = part.search(queries, asked.k, asked.terms, passing)
            except GenerationError as error:
                again = partial(part.search, queries, asked.k, asked.terms, passing)
                breaker.damaged(str(error), again)
                raise broken("shard") from error
            spent = (time.perf_counter() - begun) / len(queries)
            pace[asked.generation] += (spent - pace[asked.generation]) / 8
            searches.inc(len(queries))
            # One at a time where it is done inline, so that what waits comes together.
            body = answer_body(asked.generation, config.shard, found)
            return Answer(1 if inline else slots, body)

        return answer() if inline else threads.run(answer)

    async def search(request: Request) -> HttpAnswer:
        args = request.args()
        generation, model = args.get("generation", ""), request.header(MODEL_HEADER.lower())
        body = await request.body(limit)
        part_of(generation, model)
        parts = body_parts(body, _whole(args.get("terms", "0")), _whole(args.get("filter", "0")))
        asked = Search(generation, model, _whole(args.get("k", "")), "", *parts)
        found = find(asked, request.gone)
        answer = found if isinstance(found, Answer) else await found
        return HttpAnswer(answer.body, headers=((SLOTS_HEADER, str(answer.slots)),))

    lifecycle.mark_ready()
    ways = {Search: Way("/search", find)}
    Watch(known)

    def found() -> set[str]:
        return {name for part in by_id.values() for name in part.withdrawn}

    lists = routes_of(known, found)
    return Application(app, {"/search": {"POST": search}, WITHDRAWN_PATH: lists}, ways=ways)


def _whole(text: str) -> int:
    """A whole number; 0, which is never asked for, where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0

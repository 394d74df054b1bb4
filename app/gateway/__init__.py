"""The gateway service: the public API over the router of the generation that ``current`` names."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from flask import Response

from app.config import GatewayConfig
from app.errors import GenerationError, ProblemError
from app.gateway.body import (
    SearchRequest,
    may_remember,
    may_rescore,
    parse_process,
    parse_query_string,
    parse_search,
)
from app.gateway.call import Call, forwarded_headers
from app.gateway.connections import Connections
from app.gateway.generations import Generations
from app.gateway.keys import ApiKeys
from app.gateway.metrics import GatewayMetrics, Links
from app.gateway.pools import CONNECT_SECONDS
from app.gateway.recorded import Recorded, install
from app.gateway.results import SearchResult, result_json
from app.gateway.search import Backend, Searcher
from app.gateway.upstream import Fleet, Upstream
from app.gateway.withdrawn import Exchange
from app.generation.filtering import Filtering
from app.generation.manifest import Manifest
from app.generation.rescoring import Rescorer
from app.generation.routing import Router
from app.service.application import Application
from app.service.breaker import Breaker
from app.service.health import new_service
from app.service.lifecycle import Lifecycle
from app.service.request import JSON, Answer, Request, json_answer
from app.service.threads import Threads
from app.service.withdrawn import Known, Watch
from app.tls import identity
from app.wire import ASKED_HEADER, CANARY_HEADER, GENERATION_HEADER, REQUEST_ID_HEADER

MAX_BODY = 1 << 20
# A flip loads in one of them, canaries of another generation in the others.
LOADING_THREADS = 2
API_DOCUMENT = Path(__file__).with_name("openapi.json")
NO_CONFIDENCE = (
    "this generation cannot tell how sure an answer is: it was built without --labels, or words do "
    "not order this answer"
)
_CANARY = CANARY_HEADER.lower()
_GENERATION = GENERATION_HEADER.lower()
# What asks the fleet; the rest tells no more than that a service is there.
KEYED = ("/process", "/v1/")


def load_searcher(
    directory: Path, config: GatewayConfig, backend: Backend, known: Known
) -> Searcher:
    """Load one generation's router, its checksums first; ``known`` says what is withdrawn.

    Raises: GenerationError where it is damaged or does not fit the fleet.
    """
    manifest = Manifest.load(directory)
    if len(manifest.shards) > len(config.shard_urls):
        raise GenerationError(
            f"generation {manifest.id} has {len(manifest.shards)} shards, this fleet has "
            f"{len(config.shard_urls)}: raise askfleet_shard_count and run site.yml"
        )
    manifest.verify(directory, (), routing=True)
    searcher = Searcher(
        manifest,
        Router.load(directory, manifest),
        backend,
        Rescorer.load(directory, manifest),
        Filtering.load(directory, manifest),
        lambda: known.now,
    )
    searcher.self_query()
    return searcher


def fleet_of(config: GatewayConfig) -> Fleet:
    """Where encoder and shards are asked."""
    return Fleet(
        config.encoder_url,
        config.shard_urls,
        config.encoder_replicas,
        config.shard_replicas,
        config.patience,
        identity(config.tls.directory) if config.tls and config.tls.mode != "allow" else None,
    )


def watch_withdrawn(config: GatewayConfig, known: Known, lifecycle: Lifecycle) -> None:
    """Learn what is withdrawn, from now on; where no shard tells it now, ``informed`` waits."""
    lifecycle.informed = False

    def informed() -> None:
        lifecycle.informed = True

    addresses = list(chain.from_iterable(config.shard_replicas))
    exchange = Exchange(known, addresses, fleet_of(config).identity, informed)
    exchange.once()
    Watch(known, exchange.due)


def create_app(config: GatewayConfig, backend: Backend | None = None) -> Application:
    """Build the service and load its routers.

    Args:
        config: settings.
        backend: the fleet; by default the pools named in ``config``, over HTTP.

    Raises: GenerationError when the current generation cannot be routed, ConfigError when the API
        keys cannot be read.
    """
    fleet = backend or Upstream(Connections(CONNECT_SECONDS), fleet_of(config))
    known = Known(config.links)
    generations = Generations(
        config.links, lambda directory: load_searcher(directory, config, fleet, known)
    )
    breaker = Breaker(lambda: generations.active().self_query())
    lifecycle = Lifecycle(config.drain_file, breaker, config.unit)

    def describe() -> dict[str, Any]:
        manifest = generations.active().manifest
        return {
            "model": manifest.model.fingerprint,
            "generations": {
                "current": manifest.id,
                "previous": generations.previous,
            },
            "loaded": generations.ids,
            "documents": manifest.documents,
            "cache": generations.active().remembered.statistics(),
            "withdrawn": known.describe(),
        }

    app = new_service("gateway", config, lifecycle, describe)
    registry = app.extensions["askfleet.metrics"].registry
    counts = GatewayMetrics(registry)
    if isinstance(fleet, Upstream):
        registry.register(Links(fleet.replicas()))
    document = API_DOCUMENT.read_bytes()
    threads = Threads(LOADING_THREADS, "load")
    keys = None if config.api_keys is None else ApiKeys.read(config.api_keys, config.edges)

    def let_in(request: Request) -> None:
        if keys is not None and request.scope["path"].startswith(KEYED):
            keys.check(request)

    async def chosen(request: Request) -> Searcher:
        """Who answers this request from its beginning to its end."""
        if request.has(_CANARY) and request.has(_GENERATION):
            return await threads.run(lambda: generations.pinned(request.header(_GENERATION)))
        settled = generations.settled()
        return await threads.run(generations.active) if settled is None else settled

    def least_of(wanted: SearchRequest) -> float:
        """How sure an answer must be."""
        own = wanted.min_confidence
        return config.min_confidence if own is None else own

    async def run(
        request: Request, wanted: SearchRequest
    ) -> tuple[Searcher, SearchResult, tuple[tuple[str, str], ...]]:
        """Who answered, the answer, and headers for the edge's log."""
        searcher = await chosen(request)
        request.check_waits()
        call = Call(
            time.monotonic() + config.deadline,
            forwarded_headers(request, (REQUEST_ID_HEADER,)),
        )
        if not may_rescore(request):
            wanted = replace(wanted, rescore=False)
        if wanted.min_confidence and not searcher.tells_confidence(wanted):
            raise ProblemError(409, "no_confidence", NO_CONFIDENCE, field="min_confidence")
        result = await searcher.search(wanted, call, remember=may_remember(request))
        if not request.has(_CANARY):  # nobody's question
            counts.count(result, least_of(wanted))
            if recorded is not None:
                recorded.note(wanted.queries, result.queries, least_of(wanted))
        return searcher, result, ((ASKED_HEADER, " ".join(call.asked)),)

    async def search_answer(request: Request, wanted: SearchRequest) -> Answer:
        searcher, result, headers = await run(request, wanted)
        return json_answer(
            {
                "generation": searcher.manifest.id,
                "model": searcher.manifest.model.fingerprint,
                "partial": any(query.missing for query in result.queries),
                "queries": [result_json(query, least_of(wanted)) for query in result.queries],
                "timings_ms": result.timings,
            },
            headers,
        )

    async def process(request: Request) -> Answer:
        wanted = parse_process(await request.body(MAX_BODY))
        searcher, result, headers = await run(request, wanted)
        found = [query.match(least_of(wanted)) for query in result.queries]
        matches = [match and match.text for match in found]
        return json_answer(
            {
                "match": matches[0],
                "matches": matches,
                "generation": searcher.manifest.id,
                "partial": any(query.missing for query in result.queries),
            },
            headers,
        )

    async def search(request: Request) -> Answer:
        return await search_answer(request, parse_search(await request.body(MAX_BODY)))

    async def search_by_url(request: Request) -> Answer:
        return await search_answer(request, parse_query_string(request.query))

    async def filters(request: Request) -> Answer:
        searcher = await chosen(request)
        filtering = searcher.filtering
        fields = filtering.fields() if filtering else []
        return json_answer({"generation": searcher.manifest.id, "fields": fields})

    recorded = Recorded(config.record_questions) if config.record_questions else None
    if recorded is not None:
        install(app, recorded, lifecycle, known)

    @app.get("/openapi.json")
    def openapi() -> Response:
        return Response(document, content_type=JSON)

    watch_withdrawn(config, known, lifecycle)
    lifecycle.mark_ready()
    routes = {
        "/process": {"POST": process},
        "/v1/search": {"POST": search, "GET": search_by_url},
        "/v1/filters": {"GET": filters},
    }
    return Application(app, routes, let_in)

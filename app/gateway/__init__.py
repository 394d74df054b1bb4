"""The gateway service: the public API over the router of the generation that ``current`` names."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

from app.config import GatewayConfig
from app.errors import GenerationError
from app.gateway.body import (
    SearchRequest,
    may_remember,
    parse_process,
    parse_query_string,
    parse_search,
)
from app.gateway.connections import Connections
from app.gateway.generations import Generations
from app.gateway.keys import ApiKeys
from app.gateway.metrics import GatewayMetrics
from app.gateway.search import Backend, Searcher, SearchResult, result_json
from app.gateway.upstream import CONNECT_SECONDS, Call, Upstream, forwarded_headers
from app.generation.manifest import Manifest
from app.generation.routing import Router
from app.service.breaker import Breaker
from app.service.caller import check_waits
from app.service.health import json_response, new_service
from app.service.lifecycle import Lifecycle
from app.service.whole_body import read_body
from app.wire import CANARY_HEADER, GENERATION_HEADER, REQUEST_ID_HEADER

# Calls to shards at one time in this process; more wait their turn, bounded by gunicorn's threads.
FAN_OUT_THREADS = 32
MAX_BODY = 1 << 20
API_DOCUMENT = Path(__file__).with_name("openapi.json")
# What asks the fleet; the rest tells no more than that a service is there.
KEYED = ("/process", "/v1/")


def load_searcher(
    directory: Path, config: GatewayConfig, backend: Backend, pool: ThreadPoolExecutor
) -> Searcher:
    """Load one generation's router, its checksums first.

    Raises: GenerationError where it is damaged or does not fit the fleet.
    """
    manifest = Manifest.load(directory)
    if len(manifest.shards) != len(config.shard_urls):
        raise GenerationError(
            f"generation {manifest.id} has {len(manifest.shards)} shards, this fleet has "
            f"{len(config.shard_urls)}"
        )
    manifest.verify(directory, (), routing=True)
    searcher = Searcher(manifest, Router.load(directory, manifest), backend, pool)
    searcher.self_query()
    return searcher


def create_app(config: GatewayConfig, backend: Backend | None = None) -> Flask:
    """Build the service and load its routers.

    Args:
        config: settings.
        backend: the fleet; by default the pools named in ``config``, over HTTP.

    Raises: GenerationError when the current generation cannot be routed, ConfigError when the API
        keys cannot be read.
    """
    pool = ThreadPoolExecutor(FAN_OUT_THREADS, thread_name_prefix="fan-out")
    fleet = backend or Upstream(Connections(CONNECT_SECONDS), config.encoder_url, config.shard_urls)
    generations = Generations(
        config.links, lambda directory: load_searcher(directory, config, fleet, pool)
    )
    lifecycle = Lifecycle(config.drain_file, Breaker(lambda: generations.active().self_query()))

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
        }

    app = new_service("gateway", config, lifecycle, describe)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    counts = GatewayMetrics(app.extensions["askfleet.metrics"].registry)
    document = API_DOCUMENT.read_bytes()
    if config.api_keys is not None:
        keys = ApiKeys.read(config.api_keys, config.edges)

        @app.before_request
        def let_in() -> None:
            if request.path.startswith(KEYED):
                keys.check(request)

    def chosen() -> Searcher:
        """Who answers this request from its beginning to its end."""
        if CANARY_HEADER in request.headers and GENERATION_HEADER in request.headers:
            return generations.pinned(request.headers[GENERATION_HEADER])
        return generations.active()

    def run(searcher: Searcher, wanted: SearchRequest) -> SearchResult:
        check_waits(request.environ)
        call = Call(
            time.monotonic() + config.deadline,
            forwarded_headers(request.headers, (REQUEST_ID_HEADER,)),
        )
        result = searcher.search(wanted, call, remember=may_remember(request))
        counts.count(result)
        return result

    def search_response(wanted: SearchRequest) -> Response:
        searcher = chosen()
        result = run(searcher, wanted)
        return json_response(
            {
                "generation": searcher.manifest.id,
                "model": searcher.manifest.model.fingerprint,
                "partial": any(query.missing for query in result.queries),
                "queries": [result_json(query) for query in result.queries],
                "timings_ms": result.timings,
            }
        )

    @app.post("/process")
    def process() -> Response:
        searcher = chosen()
        result = run(searcher, parse_process(read_body(request)))
        matches = [query.hits[0].text if query.hits else None for query in result.queries]
        body = {
            "match": matches[0],
            "matches": matches,
            "generation": searcher.manifest.id,
            "partial": any(query.missing for query in result.queries),
        }
        return json_response(body)

    @app.post("/v1/search")
    def search() -> Response:
        return search_response(parse_search(read_body(request)))

    @app.get("/v1/search")
    def search_by_url() -> Response:
        return search_response(parse_query_string(request.query_string))

    @app.get("/openapi.json")
    def openapi() -> Response:
        return Response(document, content_type="application/json")

    lifecycle.mark_ready()
    return app

"""The shard service: searches its part of the current and the previous generation."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask, Response, request
from prometheus_client import Counter

from app.config import ShardConfig
from app.errors import GenerationError, ProblemError
from app.generation.shard_part import ShardPart
from app.generation.store import served
from app.service.breaker import Breaker
from app.service.caller import check_waits
from app.service.health import broken, new_service
from app.service.lifecycle import Lifecycle
from app.service.whole_body import read_body
from app.shard.answer import answer_body
from app.wire import MODEL_HEADER, type_f32, vectors_from_bytes

log = logging.getLogger(__name__)

MAX_K = 1000
MAX_VECTORS = 1024


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


def create_app(config: ShardConfig) -> Flask:
    """Build the service, load its generations and pass the self-query.

    Raises: GenerationError when the current generation cannot be served.
    """
    parts = load_parts(config)

    def self_query() -> None:
        for part in parts.values():
            part.self_query()

    breaker = Breaker(self_query)
    lifecycle = Lifecycle(config.drain_file, breaker)
    by_id = {part.manifest.id: part for part in parts.values()}
    current = parts["current"]

    def describe() -> dict[str, Any]:
        return {
            "shard": config.shard,
            "model": current.manifest.model.fingerprint,
            "generations": {
                name: parts[name].manifest.id if name in parts else None
                for name in ("current", "previous")
            },
            "documents": current.count,
        }

    app = new_service("shard", config, lifecycle, describe)
    searches = Counter(
        "askfleet_shard_searches",
        "Vectors searched for.",
        registry=app.extensions["askfleet.metrics"].registry,
    )
    widest = max(part.manifest.model.dim for part in by_id.values())
    app.config["MAX_CONTENT_LENGTH"] = MAX_VECTORS * widest * type_f32.itemsize

    @app.post("/search")
    def search() -> Response:
        part = by_id.get(wanted := request.args.get("generation", ""))
        if part is None:
            raise ProblemError(
                409,
                "generation_not_loaded",
                f"{config.unit} serves {', '.join(by_id)}, not generation {wanted!r}",
                field="generation",
            )
        model = part.manifest.model
        if request.headers.get(MODEL_HEADER) != model.fingerprint:
            raise ProblemError(
                409,
                "model_mismatch",
                f"generation {wanted} was made by model {model.fingerprint}, the question by "
                f"{request.headers.get(MODEL_HEADER)}",
            )
        queries = vectors_from_bytes(read_body(request), model.dim)
        if len(queries) > MAX_VECTORS:
            raise ProblemError(413, "too_many", f"more than {MAX_VECTORS} vectors in one request")
        k = request.args.get("k", default=0, type=int)
        if not 1 <= k <= MAX_K:
            raise ProblemError(400, "bad_k", f"k must be 1 to {MAX_K}", field="k")
        check_waits(request.environ)
        try:
            hits = part.search(queries, k)
        except GenerationError as error:
            breaker.damaged(str(error), lambda: part.search(queries, k))
            raise broken("shard") from error
        searches.inc(len(queries))
        body = answer_body(part.manifest.id, config.shard, hits)
        return Response(body, content_type="application/json")

    lifecycle.mark_ready()
    return app

"""/livez, /readyz, /health and /metrics, and the gate that a drained service closes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from flask import Flask, Response, request
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from app import __version__
from app.config import ServiceConfig
from app.errors import ProblemError
from app.service import merged, problem
from app.service.lifecycle import Lifecycle
from app.service.metrics import Metrics, State
from app.service.refusal import refusal_status
from app.service.siblings import ALONE_HEADER
from app.wire import CANARY_HEADER, WITHDRAWN_PATH

# What a drained service goes on answering.
HEALTH_PATHS = frozenset({"/livez", "/readyz", "/health", "/metrics", WITHDRAWN_PATH})


def json_response(body: object, status: int = 200) -> Response:
    """A JSON answer; ``body`` is anything msgspec encodes."""
    return Response(
        msgspec.json.encode(body) + b"\n", status=status, content_type="application/json"
    )


def broken(name: str) -> ProblemError:
    """The refusal of a broken replica of ``encoder``, ``gateway`` or ``shard``."""
    detail = f"this {name} is broken: its /health and its log say why"
    return ProblemError(refusal_status(name), "replica_broken", detail, retry_after=1)


def check_gate(name: str, lifecycle: Lifecycle, *, canary: bool) -> None:
    """Raise ProblemError, by which nginx asks another replica, where this one refuses questions."""
    if lifecycle.breaker.refuses:
        raise broken(name)
    if not lifecycle.informed:
        detail = f"{lifecycle.unit} has not heard yet which documents are withdrawn"
        raise ProblemError(refusal_status(name), "withdrawn_unknown", detail, retry_after=1)
    if not canary and lifecycle.drained:
        raise ProblemError(
            refusal_status(name), "draining", f"{lifecycle.unit} is being drained", retry_after=1
        )


def new_service(
    name: str,
    config: ServiceConfig,
    lifecycle: Lifecycle,
    describe: Callable[[], dict[str, Any]],
) -> Flask:
    """A Flask application with problem bodies, health pages and metrics.

    It is what ``Application`` asks for everything that is no hot route.

    Args:
        name: ``encoder``, ``gateway`` or ``shard``.
        config: what the service knows about itself.
        lifecycle: read by the pages, changed by the gunicorn worker (``app.extensions``).
        describe: more members for /health, e.g. generations and documents.
    """
    app = Flask(f"askfleet.{name}", static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # 405 as any other method that is not there
    app.extensions["askfleet.lifecycle"] = lifecycle
    metrics = Metrics(State(config, lifecycle, describe))
    app.extensions["askfleet.metrics"] = metrics
    breaker = lifecycle.breaker
    problem.install(app, breaker)

    @app.get("/livez")
    def livez() -> Response:
        return json_response({"status": "alive"})

    def alone() -> bool:
        return lifecycle.siblings is None or ALONE_HEADER in request.headers

    def own_health() -> dict[str, Any]:
        status = lifecycle.status(canary=CANARY_HEADER in request.headers)
        return {
            "status": status,
            "service": name,
            "unit": config.unit,
            "host": config.host,
            "version": __version__,
            "release": config.release,
            "uptime_seconds": round(lifecycle.uptime, 1),
            **({"fault": breaker.fault} if breaker.fault else {}),
            **describe(),
        }

    def whole_health() -> dict[str, Any]:
        if alone() or lifecycle.siblings is None:
            return own_health()
        kept = {CANARY_HEADER: "1"} if CANARY_HEADER in request.headers else {}
        others = lifecycle.siblings.ask("/health", kept)
        return merged.health(own_health(), others, lifecycle.siblings.slot)

    @app.get("/readyz")
    def readyz() -> Response:
        canary = CANARY_HEADER in request.headers
        status = lifecycle.status(canary=canary) if alone() else whole_health()["status"]
        return json_response({"status": status}, 200 if status == "ok" else 503)

    @app.get("/health")
    def health() -> Response:
        body = whole_health()
        return json_response(body, 200 if body["status"] == "ok" else 503)

    @app.get("/metrics")
    def show_metrics() -> Response:
        text = metrics.text()
        if not alone() and lifecycle.siblings is not None:
            others = lifecycle.siblings.ask("/metrics", {})
            text = merged.metrics({lifecycle.siblings.slot: text, **others})
        return Response(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)

    return app

"""/livez, /readyz, /health and /metrics, and the gate that a drained service closes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from flask import Flask, Response, request
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from app import __version__
from app.config import ServiceConfig
from app.errors import ProblemError
from app.service import problem
from app.service.lifecycle import Lifecycle
from app.service.metrics import Metrics, State
from app.service.observe import Observed
from app.wire import CANARY_HEADER

# What a drained service goes on answering.
HEALTH_PATHS = frozenset({"/livez", "/readyz", "/health", "/metrics"})


def json_response(body: object, status: int = 200) -> Response:
    """A JSON answer; ``body`` is anything msgspec encodes."""
    return Response(
        msgspec.json.encode(body) + b"\n", status=status, content_type="application/json"
    )


def new_service(
    name: str,
    config: ServiceConfig,
    lifecycle: Lifecycle,
    describe: Callable[[], dict[str, Any]],
) -> Flask:
    """A Flask application with problem bodies, health pages, metrics and the drain gate.

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
    problem.install(app)

    @app.before_request
    def gate() -> None:
        if request.path in HEALTH_PATHS or CANARY_HEADER in request.headers:
            return
        if lifecycle.drained:
            raise ProblemError(503, "draining", f"{config.unit} is being drained", retry_after=1)

    @app.get("/livez")
    def livez() -> Response:
        return json_response({"status": "alive"})

    @app.get("/readyz")
    def readyz() -> Response:
        status = lifecycle.status(canary=CANARY_HEADER in request.headers)
        return json_response({"status": status}, 200 if status == "ok" else 503)

    @app.get("/health")
    def health() -> Response:
        status = lifecycle.status(canary=CANARY_HEADER in request.headers)
        body = {
            "status": status,
            "service": name,
            "unit": config.unit,
            "host": config.host,
            "version": __version__,
            "release": config.release,
            "uptime_seconds": round(lifecycle.uptime, 1),
            **describe(),
        }
        return json_response(body, 200 if status == "ok" else 503)

    @app.get("/metrics")
    def show_metrics() -> Response:
        return Response(metrics.text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)

    @cache
    def paths() -> frozenset[str]:
        """The routes, once all of them are there: at the first request."""
        return frozenset(rule.rule for rule in app.url_map.iter_rules())

    app.wsgi_app = Observed(app.wsgi_app, paths, metrics)  # type: ignore[method-assign]  # Flask's own way to wrap it
    return app

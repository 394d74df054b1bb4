"""RFC 9457 problem bodies: the one error shape of every service."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from app.errors import ProblemError
from app.service.breaker import Breaker
from app.service.logs import trace
from app.service.observe import PROBLEM

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    411: "Length required",
    413: "Request too large",
    415: "Unsupported media type",
    429: "Too many requests",
    500: "Internal error",
    502: "Bad gateway",
    503: "Service unavailable",
    504: "Gateway timeout",
}


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    field: str | None = None,
    retry_after: int | None = None,
) -> Response:
    """Build the problem response to this request; ``code`` is also the last part of the URN."""
    request.environ[PROBLEM] = (code, detail)
    body: dict[str, Any] = {
        "type": f"urn:askfleet:problem:{code}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code,
    }
    if field is not None:
        body["field"] = field
    response = Response(msgspec.json.encode(body), status=status, content_type=CONTENT_TYPE)
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="askfleet"'
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def install(app: Flask, breaker: Breaker) -> None:
    """Make every error of ``app`` a problem body: ours, the framework's and the unforeseen.

    ``breaker`` counts the unforeseen.
    """

    @app.errorhandler(ProblemError)
    def ours(error: ProblemError) -> Response:
        return problem(
            error.status,
            error.code,
            error.detail,
            field=error.field,
            retry_after=error.retry_after,
        )

    @app.errorhandler(HTTPException)
    def framework(error: HTTPException) -> Response:
        status = error.code or 500
        name = (error.name or "error").lower().replace(" ", "_")
        response = problem(status, name, error.description or TITLES.get(status, "Error"))
        for key, value in error.get_headers():
            if key.lower() == "allow":
                response.headers[key] = value
        return response

    @app.errorhandler(Exception)
    def unforeseen(error: Exception) -> Response:
        log.error("unforeseen error", extra={"told": {"exception": trace(error)}})
        breaker.unforeseen(type(error).__name__)
        return problem(500, "internal_error", "an unforeseen error; the service's log has it")

"""RFC 9457 problem bodies: the one error shape of every service."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from app.errors import ProblemError
from app.service.breaker import Breaker
from app.service.logs import trace
from app.service.request import Answer

# Where Flask's problem bodies leave their code and detail, in the environ of the request.
PROBLEM = "askfleet.problem"

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


def problem_answer(error: ProblemError, headers: Sequence[tuple[str, str]] = ()) -> Answer:
    """The answer that tells an error; its code is also the last part of the URN."""
    body: dict[str, Any] = {
        "type": f"urn:askfleet:problem:{error.code}",
        "title": TITLES.get(error.status, "Error"),
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
    }
    if error.field is not None:
        body["field"] = error.field
    if error.status == 401:
        headers = (*headers, ("WWW-Authenticate", 'Bearer realm="askfleet"'))
    if error.retry_after is not None:
        headers = (*headers, ("Retry-After", str(error.retry_after)))
    told = (error.code, error.detail)
    return Answer(msgspec.json.encode(body), error.status, CONTENT_TYPE, headers, told)


def unforeseen_answer(error: Exception, breaker: Breaker) -> Answer:
    """The answer that tells an error nobody has thought of; ``breaker`` counts it."""
    log.error("unforeseen error", extra={"told": {"exception": trace(error)}})
    breaker.unforeseen(type(error).__name__)
    detail = "an unforeseen error; the service's log has it"
    return problem_answer(ProblemError(500, "internal_error", detail))


def install(app: Flask, breaker: Breaker) -> None:
    """Make every error of ``app`` a problem body: ours, the framework's and the unforeseen.

    ``breaker`` counts the unforeseen.
    """

    def told(answer: Answer) -> Response:
        request.environ[PROBLEM] = answer.problem
        return Response(answer.body, answer.status, answer.headers, content_type=CONTENT_TYPE)

    @app.errorhandler(ProblemError)
    def ours(error: ProblemError) -> Response:
        return told(problem_answer(error))

    @app.errorhandler(HTTPException)
    def framework(error: HTTPException) -> Response:
        status = error.code or 500
        name = (error.name or "error").lower().replace(" ", "_")
        detail = error.description or TITLES.get(status, "Error")
        allow = [(key, value) for key, value in error.get_headers() if key.lower() == "allow"]
        return told(problem_answer(ProblemError(status, name, detail), allow))

    @app.errorhandler(Exception)
    def unforeseen(error: Exception) -> Response:
        return told(unforeseen_answer(error, breaker))

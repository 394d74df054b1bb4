"""The body of a request, whole and as it was sent, or an error that says what is the matter."""

from __future__ import annotations

from flask import Request

from app.errors import ProblemError


def read_body(request: Request) -> bytes:
    """The body.

    Chunks are refused: nginx sends none, and werkzeug gives the beginning of too many of them as if
    that were all. So is a body that ends before its length, whatever its beginning would mean.

    Raises: ProblemError 400 when some of it is missing, 411 for chunks, 415 when it is compressed;
        what is too large is werkzeug's 413.
    """
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding.strip().lower() not in {"", "identity"}:
        raise ProblemError(415, "unsupported_encoding", "the body is compressed; send it as it is")
    if "Transfer-Encoding" in request.headers:
        raise ProblemError(
            411, "length_required", "send the body with a Content-Length, not in chunks"
        )
    body = request.get_data()
    expected = request.content_length or 0
    if len(body) < expected:
        raise ProblemError(
            400, "incomplete_body", f"{len(body)} bytes of the body came, of {expected}"
        )
    return body

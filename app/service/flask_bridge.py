"""Flask's routes, called in a thread: health, metrics, and whatever is not there.

None of them reads a body or answers in parts, so a request is one call.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from typing import Any

from app.service.problem import PROBLEM
from app.service.request import Answer, Scope

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def call(app: WsgiApp, scope: Scope) -> Answer:
    """The answer of a WSGI application to a request, as if it had no body."""
    environ = _environ(scope)
    told: tuple[str, list[tuple[str, str]]] = ("500 Internal error", [])

    def start(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], None]:
        nonlocal told
        told = (status, headers)
        return lambda _: None  # PEP 3333's write(), which Flask does not use

    parts = app(environ, start)
    try:
        body = b"".join(parts)
    finally:
        getattr(parts, "close", lambda: None)()
    status, pairs = told
    headers = {name.lower(): value for name, value in pairs}
    headers.pop("content-length", None)
    content_type = headers.pop("content-type", "")
    return Answer(body, int(status[:3]), content_type, tuple(headers.items()), environ.get(PROBLEM))


def _environ(scope: Scope) -> dict[str, Any]:
    """PEP 3333: text is bytes read as Latin-1."""
    host, port = (scope.get("server") or ("localhost", 80))[:2]
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode("utf-8", "replace").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": str(host),
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": str((scope.get("client") or ("",))[0]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        key = f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}"
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ

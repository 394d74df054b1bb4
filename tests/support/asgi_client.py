"""Werkzeug's test client for our ASGI services: requests run on one event loop, in a thread."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from http import HTTPStatus
from typing import Any, TypeVar

import werkzeug.test

from app.service.application import Application
from app.service.request import GONE

T = TypeVar("T")
# In an environ: what the service is told when it asks whether the caller has gone.
CALLER_GONE = "test.gone"

_LOOP = asyncio.new_event_loop()
threading.Thread(target=_LOOP.run_forever, name="test loop", daemon=True).start()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, run beside this thread on the loop that all tests share."""
    return asyncio.run_coroutine_threadsafe(coroutine, _LOOP).result(60)


class Blocking:
    """An object whose methods that are to be awaited can be called from a test that cannot."""

    def __init__(self, whole: Any) -> None:
        self._whole = whole

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*about: Any, **more: Any) -> Any:
            return await getattr(self._whole, name)(*about, **more)

        return lambda *about, **more: run(call(*about, **more))


class Client(werkzeug.test.Client):
    """Asks an application in this process."""

    def __init__(self, application: Application) -> None:
        self.service = application
        super().__init__(lambda environ, start: _call(application, environ, start))


def _call(
    application: Application, environ: dict[str, Any], start: Callable[..., Any]
) -> Iterable[bytes]:
    names = [name for name in environ if name.startswith("HTTP_")]
    headers = [
        (name[5:].lower().replace("_", "-").encode(), environ[name].encode("latin-1"))
        for name in names
    ]
    headers += [
        (name.lower().replace("_", "-").encode(), environ[name].encode())
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH")
        if environ.get(name)
    ]
    path = environ["PATH_INFO"].encode("latin-1")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": environ["REQUEST_METHOD"],
        "path": path.decode("utf-8", "replace"),
        "query_string": environ["QUERY_STRING"].encode("latin-1"),
        "headers": headers,
        "client": (environ.get("REMOTE_ADDR", "127.0.0.1"), 1),
        "server": ("localhost", 80),
        GONE: environ.get(CALLER_GONE, lambda: False),
    }
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    run(application(scope, receive, send))
    begun, whole = sent
    status = HTTPStatus(begun["status"])
    told = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in begun["headers"]]
    start(f"{status.value} {status.phrase}", told)
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else whole["body"]]

"""A service as ASGI: its hot routes on the event loop, everything else by Flask in threads.

Every request but those for health pages passes the drain gate. An error of a hot route is a problem
body, as in Flask (``problem.install``). Around every request, of whichever kind: its time and
status are counted, and a failed one has a line in the log.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from flask import Flask

from app.errors import ProblemError
from app.service import flask_bridge, observe
from app.service.breaker import Breaker
from app.service.calls import Calls, Way
from app.service.health import HEALTH_PATHS, check_gate
from app.service.lifecycle import Lifecycle
from app.service.logs import request_id
from app.service.metrics import Metrics
from app.service.problem import problem_answer, unforeseen_answer
from app.service.request import Answer, Receive, Request, Scope, Send
from app.service.threads import Threads
from app.wire import CANARY_HEADER, MAX_REQUEST_ID, REQUEST_ID_HEADER

Handler = Callable[[Request], Awaitable[Answer]]
# Health pages are few, and one that waits must not keep the others from answering.
FLASK_THREADS = 4

_CANARY = CANARY_HEADER.lower()
_REQUEST_ID = REQUEST_ID_HEADER.lower()


class Application:
    """What gunicorn serves.

    Args:
        flask: answers what is no hot route; made by ``health.new_service``.
        routes: path -> method -> who answers. HEAD is GET without its body, which gunicorn drops.
        admit: lets a request in, or raises ProblemError.
        ways: type of a question -> who answers it, where it comes in frames.
    """

    def __init__(
        self,
        flask: Flask,
        routes: Mapping[str, Mapping[str, Handler]],
        admit: Callable[[Request], None] = lambda _: None,
        ways: Mapping[Any, Way] | None = None,
    ) -> None:
        self.lifecycle: Lifecycle = flask.extensions["askfleet.lifecycle"]
        self._metrics: Metrics = flask.extensions["askfleet.metrics"]
        self._name = flask.name.rpartition(".")[2]
        self._flask = flask
        self._admit = admit
        self._routes = {
            path: {**methods, **({"HEAD": methods["GET"]} if "GET" in methods else {})}
            for path, methods in routes.items()
        }
        # What may be a label; any other path is "other", for callers can make them up.
        self._paths = frozenset(self.routes())
        self._threads = Threads(FLASK_THREADS, "flask")
        self.calls = Calls(self._name, self.lifecycle, self._metrics, ways or {})

    @property
    def breaker(self) -> Breaker:
        """What takes this replica out of service."""
        return self.lifecycle.breaker

    def routes(self) -> dict[str, set[str]]:
        """Every path with its methods, Flask's included."""
        found = {path: set(methods) for path, methods in self._routes.items()}
        for rule in self._flask.url_map.iter_rules():
            found.setdefault(rule.rule, set()).update(rule.methods or ())
        return found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; gunicorn asks for HTTP and nothing else."""
        if scope["type"] != "http":
            return
        begun = time.perf_counter()
        request = Request(scope, receive)
        token = request_id.set(request.header(_REQUEST_ID)[:MAX_REQUEST_ID])
        try:
            answer = await self._answer(request)
            endpoint = scope["path"] if scope["path"] in self._paths else "other"
            seconds = time.perf_counter() - begun
            observe.note(self._metrics, scope["method"], endpoint, answer, seconds)
        finally:
            request_id.reset(token)
        headers = [
            (b"content-type", answer.content_type.encode("latin-1")),
            (b"content-length", b"%d" % len(answer.body)),
            *((name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, request: Request) -> Answer:
        path = request.scope["path"]
        try:
            if path not in HEALTH_PATHS:
                check_gate(self._name, self.lifecycle, canary=request.has(_CANARY))
                self._admit(request)
            methods = self._routes.get(path)
            if methods is None:
                return await self._threads.run(
                    lambda: flask_bridge.call(self._flask.wsgi_app, request.scope)
                )
            handler = methods.get(request.scope["method"])
            if handler is None:
                detail = "The method is not allowed for the requested URL."
                error = ProblemError(405, "method_not_allowed", detail)
                return problem_answer(error, (("Allow", ", ".join(sorted(methods))),))
            answer = await handler(request)
        except ProblemError as error:
            return problem_answer(error)
        except Exception as error:  # whatever it is, the caller gets a problem body
            return unforeseen_answer(error, self.breaker)
        if answer.status == 200:
            self.breaker.answered()
        return answer

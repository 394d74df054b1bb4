"""Around every request: its time and status are counted, and a failed one has a line in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from app.service.logs import request_id
from app.service.metrics import Metrics

# Where a problem body leaves its code and detail for this module, in the environ of the request.
PROBLEM = "askfleet.problem"
# Of 4xx only these say something about the fleet; the others are the caller's.
TOLD = frozenset({409, 429})

log = logging.getLogger("askfleet.request")


class Observed:
    """WSGI middleware: ``application`` with its requests counted, and failures logged.

    Args:
        application: what answers.
        paths: what may be a label; any other path is "other", for callers can make them up.
        metrics: where requests are counted.
    """

    def __init__(
        self,
        application: Callable[..., Iterable[bytes]],
        paths: Callable[[], frozenset[str]],
        metrics: Metrics,
    ) -> None:
        self._application = application
        self._paths = paths
        self._metrics = metrics

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request."""
        begun = time.perf_counter()
        answered = "500"

        def start(status: str, *rest: Any) -> Any:
            nonlocal answered
            answered = status[:3]
            return start_response(status, *rest)

        token = request_id.set(environ.get("HTTP_X_REQUEST_ID", "")[:64])
        try:
            return self._application(environ, start)
        finally:
            path = environ["PATH_INFO"]
            endpoint = path if path in self._paths() else "other"
            seconds = time.perf_counter() - begun
            code, detail = environ.get(PROBLEM, (None, None))
            self._metrics.count(endpoint, answered, seconds, code)
            status = int(answered)
            if status >= 500 or status in TOLD:
                told = {
                    "method": environ["REQUEST_METHOD"],
                    "endpoint": endpoint,
                    "status": status,
                    "code": code,
                    "seconds": round(seconds, 4),
                }
                log.warning("%s", detail or "no answer", extra={"told": told})
            request_id.reset(token)

"""After every request: its time and status are counted, and a failed one has a line in the log."""

from __future__ import annotations

import logging

from app.service.metrics import Metrics
from app.service.request import Answer

# Of 4xx only these say something about the fleet; the others are the caller's.
TOLD = frozenset({409, 429})

log = logging.getLogger("askfleet.request")


def note(metrics: Metrics, method: str, endpoint: str, answer: Answer, seconds: float) -> None:
    """Count one request; ``endpoint`` is its path, or ``other``, for callers can make them up."""
    code, detail = answer.problem or (None, None)
    metrics.count(endpoint, str(answer.status), seconds, code)
    if answer.status >= 500 or answer.status in TOLD:
        told = {
            "method": method,
            "endpoint": endpoint,
            "status": answer.status,
            "code": code,
            "seconds": round(seconds, 4),
        }
        log.warning("%s", detail or "no answer", extra={"told": told})

"""By which status a replica says "not me, ask another": what the nginx before it asks elsewhere.

An encoder or shard says 503. A gateway says 502: its 503 are answers of the fleet (no encoder, no
shard), which another gateway would not change, so the edge does not ask another one.

Only what is light is imported here: it comes before a drained service can say that it is starting.
"""

from __future__ import annotations

TITLES = {502: "Bad gateway", 503: "Service unavailable"}


def refusal_status(service: str) -> int:
    """The status for ``encoder``, ``gateway`` or ``shard``."""
    return 502 if service == "gateway" else 503

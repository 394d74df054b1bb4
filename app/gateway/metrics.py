"""What a gateway tells Prometheus beside its requests: fan-out, partial answers, its memory."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from app.gateway.search import SearchResult

FAN_OUT = (1, 2, 3, 4, 6, 8, 12, 16, 32, 64)


class GatewayMetrics:
    """Counts questions, not requests: one request may bring 64 of them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        questions = Counter(
            "askfleet_gateway_questions",
            "Questions answered, from the gateway's memory or by the fleet.",
            ["source"],
            registry=registry,
        )
        self._memory, self._fleet = questions.labels("memory"), questions.labels("fleet")
        self._shards_asked = Histogram(
            "askfleet_gateway_shards_asked",
            "Shards asked for a question that the fleet answered.",
            buckets=FAN_OUT,
            registry=registry,
        )
        self._partial = Counter(
            "askfleet_gateway_partial",
            "Questions answered without all shards that were asked.",
            registry=registry,
        )
        self._missing = Counter(
            "askfleet_gateway_shard_missing",
            "Questions answered without this shard.",
            ["shard"],
            registry=registry,
        )

    def count(self, result: SearchResult) -> None:
        """The questions of one search."""
        self._memory.inc(len(result.queries) - len(result.fresh))
        self._fleet.inc(len(result.fresh))
        for query in result.fresh:
            self._shards_asked.observe(len(query.asked))
            if query.missing:
                self._partial.inc()
            for shard in query.missing:
                self._missing.labels(shard).inc()

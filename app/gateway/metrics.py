"""What a gateway tells Prometheus beside its requests: fan-out, partial answers, memory, links."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app.gateway.replicas import Replicas
from app.gateway.results import SearchResult
from app.service.metrics import BUCKETS

FAN_OUT = (1, 2, 3, 4, 6, 8, 12, 16, 32, 64)
# Cosines of a question and what it finds.
SCORES = (0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


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
        self._unanswered = Counter(
            "askfleet_gateway_unanswered",
            "Questions without a match: nothing was found, or nothing sure enough.",
            registry=registry,
        )
        self._answerless = Counter(
            "askfleet_gateway_answerless",
            "Questions whose first result has no answer: the corpus gives none, or an empty one.",
            registry=registry,
        )
        self._score = Histogram(
            "askfleet_gateway_score",
            "Score of the first result of a question: the cosine of the two texts.",
            buckets=SCORES,
            registry=registry,
        )
        self._seconds = Histogram(
            "askfleet_gateway_search_seconds",
            "Time of a request whose answers were not all remembered, in seconds.",
            buckets=BUCKETS,
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

    def count(self, result: SearchResult, min_confidence: float) -> None:
        """The questions of one search, whose answers must be so sure."""
        self._unanswered.inc(sum(q.match(min_confidence) is None for q in result.queries))
        for query in result.queries:
            if query.hits:
                self._score.observe(query.hits[0].score)
                self._answerless.inc(not query.hits[0].answer)
        self._memory.inc(len(result.queries) - len(result.fresh))
        self._fleet.inc(len(result.fresh))
        if result.fresh:
            self._seconds.observe(result.timings["total"] / 1e3)
        for query in result.fresh:
            self._shards_asked.observe(len(query.asked))
            if query.missing:
                self._partial.inc()
            for shard in query.missing:
                self._missing.labels(shard).inc()


class Links(Collector):
    """Which replicas are linked, and how many short requests went over links; by pool.

    Args:
        pools: the replicas of each.
    """

    def __init__(self, pools: Mapping[str, Replicas]) -> None:
        self._pools = pools

    def collect(self) -> Iterable[Metric]:
        """The families of the moment."""
        linked = GaugeMetricFamily(
            "askfleet_gateway_links", "Replicas that are linked now.", labels=["pool"]
        )
        calls = CounterMetricFamily(
            "askfleet_gateway_calls",
            "Short requests, by the way they went: over a link, or through the pool of nginx.",
            labels=["pool", "way"],
        )
        for name, replicas in self._pools.items():
            linked.add_metric([name], replicas.linked())
            calls.add_metric([name, "link"], replicas.answered)
            calls.add_metric([name, "pool"], replicas.left_to_pool)
        yield linked
        yield calls

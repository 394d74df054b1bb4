"""What an encoder tells Prometheus beside its requests: queue, cache, texts a request and pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
PASSES = (1, 2, 4, 8, 12, 16)
Statistics = Callable[[], Mapping[str, Any]]


class EncoderState(Collector):
    """Queue and cache, read at every scrape; ``queue`` and ``cache`` are their statistics."""

    def __init__(self, queue: Statistics, cache: Statistics) -> None:
        self._queue = queue
        self._cache = cache

    def collect(self) -> Iterable[Metric]:
        """The families of the moment."""
        queue, cache = self._queue(), self._cache()
        for name, text, value in (
            ("queue_pending", "Texts that wait or are being encoded.", queue["pending"]),
            ("queue_limit", "So many may be pending; more are refused.", queue["limit"]),
            ("slots_running", "Texts that are being encoded.", queue["running"]),
            ("slots", "So many may be encoded at one time.", queue["slots"]),
            ("cache_entries", "Vectors that are remembered.", cache["entries"]),
        ):
            yield GaugeMetricFamily(f"askfleet_encoder_{name}", text, value)
        for name, text, value in (
            ("refused", "Requests refused because the queue was full.", queue["refused"]),
            ("cache_hits", "Texts whose vector was remembered.", cache["hits"]),
            ("cache_misses", "Texts that had to be encoded.", cache["misses"]),
        ):
            yield CounterMetricFamily(f"askfleet_encoder_{name}", text, value)


def batch_histogram(registry: CollectorRegistry) -> Histogram:
    """Texts a request: the size of what gateways send at one time."""
    return Histogram(
        "askfleet_encoder_batch_texts", "Texts a request.", buckets=BATCHES, registry=registry
    )


def pass_histogram(registry: CollectorRegistry) -> Histogram:
    """Texts a pass: how much of what waits is encoded together."""
    return Histogram(
        "askfleet_encoder_pass_texts", "Texts a pass.", buckets=PASSES, registry=registry
    )

"""What Prometheus reads at /metrics: requests as they were counted, state as it is when asked.

A process has a registry in memory, each application its own. Those of several processes are put
together when they are asked for (merged.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app import __version__
from app.config import ServiceConfig
from app.service.lifecycle import Lifecycle
from app.tls import identity

# A question is a matter of milliseconds, its deadline of seconds.
BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # has no types


class Metrics:
    """The metrics of one service; more are registered with ``registry``.

    Args:
        state: what is read when Prometheus asks, and costs nothing until then.
    """

    def __init__(self, state: Collector) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "askfleet_requests",
            "Requests answered, health pages and metrics included.",
            ["endpoint", "status"],
            registry=self.registry,
        )
        self._problems = Counter(
            "askfleet_problems",
            "Error answers by the code of their problem body.",
            ["code"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "askfleet_request_seconds",
            "Time to answer a request, in seconds.",
            ["endpoint"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        # Finding the children of two metrics by their labels costs more than counting.
        self._children: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        self.registry.register(state)
        ProcessCollector(registry=self.registry)

    def count(self, endpoint: str, status: str, seconds: float, code: str | None) -> None:
        """One more request; ``code`` is that of its problem body, None where it has none."""
        children = self._children.get((endpoint, status))
        if children is None:
            children = (self._requests.labels(endpoint, status), self._seconds.labels(endpoint))
            self._children[endpoint, status] = children
        children[0].inc()
        children[1].observe(seconds)
        if code is not None:
            self._problems.labels(code).inc()

    def text(self) -> bytes:
        """All of it, in the text format of Prometheus."""
        return prometheus_client.generate_latest(self.registry)


class State(Collector):
    """What a service says about itself, read anew at every scrape: after a flip it is the new.

    Which service it is, Prometheus knows of its target.

    Args:
        config: what the service knows about itself.
        lifecycle: whether it is ready, and drained.
        describe: the members of /health that differ by service.
    """

    def __init__(
        self,
        config: ServiceConfig,
        lifecycle: Lifecycle,
        describe: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._config = config
        self._lifecycle = lifecycle
        self._describe = describe

    def collect(self) -> Iterable[Metric]:
        """The families of the moment."""
        told = self._describe()
        generations = told.get("generations", {})
        info = {
            "version": __version__,
            "release": self._config.release,
            "model": told["model"],
            "generation": generations.get("current") or "",
            "previous": generations.get("previous") or "",
        }
        yield InfoMetricFamily("askfleet", "What serves, and which it would go back to.", info)
        loaded = told.get("loaded", generations.values())
        yield _loaded("generation", "Generations that it can answer from.", loaded)
        yield _loaded("model", "Models that it can encode by.", told.get("models", {}).values())
        ready, drained = self._lifecycle.status() == "ok", self._lifecycle.drained
        yield GaugeMetricFamily("askfleet_ready", "1 while it may take traffic.", ready)
        yield GaugeMetricFamily("askfleet_drained", "1 while its drain flag is there.", drained)
        broken = bool(self._lifecycle.breaker.fault)
        yield GaugeMetricFamily("askfleet_broken", "1 while it cannot answer.", broken)
        if "documents" in told:
            documents = told["documents"]
            yield GaugeMetricFamily("askfleet_documents", "Documents that it serves.", documents)
        if "withdrawn" in told:
            gone = told["withdrawn"]["documents"]
            text = "Documents that it answers without."
            yield GaugeMetricFamily("askfleet_withdrawn_documents", text, gone)
        if self._config.tls is not None:
            yield GaugeMetricFamily(
                "askfleet_certificate_expires_timestamp_seconds",
                "When the certificate of this host ends, in seconds since 1970.",
                identity(self._config.tls.directory).expires(),
            )
        yield from _disk(self._config.links)


def _loaded(what: str, text: str, ids: Iterable[str | None]) -> Metric:
    family = GaugeMetricFamily(f"askfleet_{what}_loaded", text, labels=[what])
    for one in filter(None, ids):
        family.add_metric([one], 1)
    return family


def _disk(directory: os.PathLike[str]) -> Iterable[Metric]:
    """The file system that generations and models lie on; nothing where it cannot be asked."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return
    size, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
    yield GaugeMetricFamily("askfleet_disk_bytes", "Size of the disk with what is served.", size)
    yield GaugeMetricFamily("askfleet_disk_free_bytes", "What is free of it.", free)

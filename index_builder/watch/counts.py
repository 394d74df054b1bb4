"""What gateways count, read from their /metrics: pure functions over Prometheus' text format."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

# Counters: totals by name. Requests are those of users' routes, failed ones of 5xx.
Counts = dict[str, float]

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ROUTES = ("/process", "/v1/search")
_TOTALS = {
    "askfleet_gateway_unanswered_total": "unanswered",
    "askfleet_gateway_answerless_total": "answerless",
    "askfleet_gateway_partial_total": "partial",
}
_HISTOGRAMS = {"askfleet_gateway_search_seconds": "seconds", "askfleet_gateway_score": "score"}


def read(text: str) -> Counts:
    """The counts of one gateway; buckets are `seconds <= 0.1`, as Prometheus has them."""
    counts: Counts = {}

    def add(name: str, value: float) -> None:
        counts[name] = counts.get(name, 0.0) + value

    for name, labels, value in _SAMPLE.findall(text):
        told = dict(_LABEL.findall(labels))
        number = float(value)
        base, _, part = name.rpartition("_")
        if name == "askfleet_requests_total" and told.get("endpoint") in _ROUTES:
            add("requests", number)
            add("failed", number if told["status"].startswith("5") else 0.0)
        elif name == "askfleet_gateway_questions_total":
            add("questions", number)
        elif name in _TOTALS:
            add(_TOTALS[name], number)
        elif base in _HISTOGRAMS and part == "bucket":
            add(f"{_HISTOGRAMS[base]} <= {told['le']}", number)
        elif base in _HISTOGRAMS:
            add(f"{_HISTOGRAMS[base]} {part}", number)
    return counts


def less(now: Mapping[str, float], then: Mapping[str, float]) -> Counts:
    """What was counted since; a service that was restarted has counted anew."""
    if any(now.get(name, 0.0) < value for name, value in then.items()):
        return dict(now)
    return {name: value - then.get(name, 0.0) for name, value in now.items()}


def together(many: Iterable[Mapping[str, float]]) -> Counts:
    """The sum of several gateways."""
    total: dict[str, Any] = {}
    for counts in many:
        for name, value in counts.items():
            total[name] = total.get(name, 0.0) + value
    return total


def buckets(counts: Mapping[str, float], name: str) -> list[float]:
    """How many fell into each bucket of a histogram, from the lowest; the last has the rest."""
    mark = f"{name} <= "
    edges = sorted(float(key[len(mark) :]) for key in counts if key.startswith(mark))
    by_edge = {float(key[len(mark) :]): value for key, value in counts.items() if mark in key}
    sums = [by_edge[edge] for edge in edges]
    return [high - low for high, low in zip(sums, [0.0, *sums], strict=False)]

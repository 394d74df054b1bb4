"""What several processes of a unit say of themselves, as one answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import prometheus_client
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

# From well to ill. ``silent`` is a process that does not answer; ``differs`` are processes that do
# not serve the same, for the moment of a flip.
STATUSES = ("ok", "draining", "starting", "differs", "broken", "silent")
Body = dict[str, Any]


def health(own: Body, others: Mapping[int, bytes | None], slot: int) -> Body:
    """The /health of the unit: the worst status, and what every process says.

    What is loaded is what all have loaded; where they do not serve the same, ``status`` says
    ``differs``, and who waits for a flip goes on waiting.
    """
    bodies = {slot: own, **{one: _read(told) for one, told in others.items()}}
    statuses = [body["status"] for body in bodies.values()]
    served = [body.get("generations") for body in bodies.values() if body["status"] != "silent"]
    if any(one != served[0] for one in served):
        statuses.append("differs")
    answered = [body for body in bodies.values() if body["status"] != "silent"]
    merged = {**own, "status": max(statuses, key=_rank)}
    faults = [body["fault"] for body in answered if body.get("fault")]
    if faults:
        merged["fault"] = faults[0]
    if "loaded" in own:
        everywhere = set.intersection(*(set(body["loaded"]) for body in answered))
        merged["loaded"] = [one for one in own["loaded"] if one in everywhere]
    lists = [body["withdrawn"] for body in answered if "withdrawn" in body]
    if any(one != lists[0] for one in lists):
        merged["withdrawn"] = {"documents": min(x["documents"] for x in lists), "digest": "differs"}
    merged["processes"] = [
        {"process": one, "status": body["status"], **_picked(body)}
        for one, body in sorted(bodies.items())
    ]
    return merged


def _read(told: bytes | None) -> Body:
    if told is None:
        return {"status": "silent"}
    body: Body = msgspec.json.decode(told)
    return body


def _rank(status: str) -> int:
    return STATUSES.index(status)


def _picked(body: Body) -> Body:
    return {name: body[name] for name in ("generations", "uptime_seconds") if name in body}


def metrics(texts: Mapping[int, bytes | None]) -> bytes:
    """The metrics of every process, each sample with the label ``process``."""
    families: dict[str, Metric] = {}
    for process, text in sorted(texts.items()):
        if text is None:
            continue
        for family in text_string_to_metric_families(text.decode()):
            made = Metric(family.name, family.documentation, family.type)
            known = families.setdefault(family.name, made)
            for sample in family.samples:
                labels = {**sample.labels, "process": str(process)}
                known.add_sample(sample.name, labels, sample.value)
    return prometheus_client.generate_latest(_Collected(families.values()))


class _Collected(prometheus_client.CollectorRegistry):
    """What was collected already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        super().__init__()
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        """All of it."""
        return self._families

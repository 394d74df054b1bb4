"""What Prometheus of the lab's watching host knows."""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from lab_hosts import run_on

PROMETHEUS = "http://127.0.0.1:9090/api/v1"
WATCHER = "edge-1"
SECONDS = 30.0  # scraped every 2 s, fires after 4 s; this machine may be busy


def prometheus(path: str) -> Any:
    """What Prometheus answers on its own host: it listens nowhere else."""
    answer = json.loads(run_on(WATCHER, "curl", "--silent", "--get", f"{PROMETHEUS}/{path}"))
    assert answer["status"] == "success", answer
    return answer["data"]


def values(expression: str) -> list[tuple[dict[str, str], float]]:
    """Labels and value of everything that an expression finds."""
    found = prometheus(f"query?query={quote(expression)}")["result"]
    return [(one["metric"], float(one["value"][1])) for one in found]


def firing() -> set[str]:
    """The alerts that fire, each with the unit or instance that it names.

    But for RestartLoop: tests restart services as often as a loop does.
    """
    alerts = [one for one in prometheus("alerts")["alerts"] if one["state"] == "firing"]
    labels = [one["labels"] for one in alerts if one["labels"]["alertname"] != "RestartLoop"]
    return {f"{one['alertname']} {one.get('unit') or one.get('instance', '')}" for one in labels}


def wait(
    condition: Callable[[], bool], what: Callable[[], str] = lambda: f"firing: {firing()}"
) -> float:
    """Seconds until it came true; ``what`` says what is the matter when it does not."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < SECONDS, f"still not so; {what()}"
        time.sleep(0.5)
    return time.monotonic() - begun

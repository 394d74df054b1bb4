"""A replica dies and an alert fires; it comes back and the alert ends."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from lab_hosts import HOSTS, run_on
from lab_plays import URL

PROMETHEUS = "http://127.0.0.1:9090/api/v1"
WATCHER = "edge-1"
HOST, UNIT = "shard-b", "askfleet-shard@1"
GATEWAY = "gateway-1"
SECONDS = 30.0  # scraped every 2 s, fires after 4 s; this machine may be busy


def prometheus(path: str) -> Any:
    """What Prometheus answers on its own host: it listens nowhere else."""
    return json.loads(run_on(WATCHER, "curl", "--silent", "--get", f"{PROMETHEUS}/{path}"))["data"]


def values(expression: str) -> list[tuple[dict[str, str], float]]:
    found = prometheus(f"query?query={requests.utils.quote(expression)}")["result"]
    return [(one["metric"], float(one["value"][1])) for one in found]


def firing() -> set[str]:
    """The alerts that fire, each with the unit or instance that it names."""
    alerts = [one for one in prometheus("alerts")["alerts"] if one["state"] == "firing"]
    labels = [one["labels"] for one in alerts]
    return {f"{one['alertname']} {one.get('unit') or one.get('instance', '')}" for one in labels}


def wait(condition: Callable[[], bool]) -> float:
    """Seconds until it came true."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < SECONDS, f"still not so; firing: {firing()}"
        time.sleep(0.5)
    return time.monotonic() - begun


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """Nothing fires before a test: those before it restarted services."""
    wait(lambda: not firing())


def test_everything_of_the_inventory_is_watched_and_answers():
    wait(lambda: all(value == 1 for _, value in values("up")))
    watched = {labels["host"] for labels, _ in values("up") if "host" in labels}
    assert watched == set(HOSTS)
    services = [labels["unit"] for labels, _ in values('up{job="askfleet"}')]
    assert len(services) == sum(len(units) for _, units in HOSTS.values())
    assert values("probe_success")[0][1] == 1


def test_what_gateways_serve_is_told(corpora):
    wait(lambda: len(values('askfleet_info{service="gateway"}')) == 2)
    told = [labels["generation"] for labels, _ in values('askfleet_info{service="gateway"}')]
    assert told == [*corpora.ids("A")] * 2


def test_a_lost_replica_fires_an_alert_and_its_return_ends_it(tell):
    units = (f"{UNIT}.socket", f"{UNIT}.service")
    run_on(HOST, "systemctl", "stop", *units)
    try:
        fired = wait(lambda: "ReplicaLost shard-1" in firing())
        others = firing() - {"ReplicaLost shard-1"}
    finally:
        run_on(HOST, "systemctl", "start", *units)
    ended = wait(lambda: not firing())
    tell(f"fired after {fired:.1f} s, ended {ended:.1f} s after the start")
    assert not others, "the other replica takes the traffic"


def test_metrics_are_not_public():
    answer = requests.get(f"{URL}/metrics", timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_request_id_comes_through_nginx_to_the_journal_of_a_shards_host():
    """Asked at the pool of a gateway host for a generation that no shard has: refused and told."""
    asked = ["--header", "X-Request-ID: lab-3b", "--data", "x", "http://127.0.0.1:6200/search?k=1"]
    run_on(GATEWAY, "curl", "--silent", *asked)
    journal = ["journalctl", "--unit=askfleet-shard@0", "--output=cat", "--priority=warning"]
    owners = [host for host, (_, units) in HOSTS.items() if "askfleet-shard@0" in units]
    lines = [json.loads(line) for host in owners for line in run_on(host, *journal).splitlines()]
    (line,) = [one for one in lines if one.get("request_id") == "lab-3b"]
    assert (line["unit"], line["status"], line["code"]) == ("shard-0", 409, "generation_not_loaded")

"""A replica dies and an alert fires; it comes back and the alert ends."""

import json
import socket
import time
from pathlib import Path

import pytest
import requests
from lab_hosts import EDGES, HOSTS, address, run_on
from lab_plays import PORT, URL
from lab_prometheus import firing, values, wait

HOST, UNIT = "shard-b", "askfleet-shard@1"
GATEWAY = "gateway-1"
DASHBOARD = Path(__file__).parents[2] / "docs/grafana-dashboard.json"
# Nothing is wrong: no alert, no question without a shard. And node_exporter leaves out a root that
# is a directory of another machine, as nspawn's hosts have.
SILENT = {"ALERTS", "askfleet_gateway_shard_missing_total", "node_filesystem_avail_bytes"}


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
    started = values('process_start_time_seconds{job="askfleet"}')  # RestartLoop looks at these
    assert sorted(labels["unit"] for labels, _ in started) == sorted(services)
    assert values("probe_success")[0][1] == 1
    assert {labels["host"] for labels, _ in values('up{job="mtail"}')} == set(EDGES)


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


def test_what_the_edge_answers_itself_is_told():
    """No gateway sees a request that is too long; what cannot be decoded ends no log."""

    def told() -> float:
        found = values('sum(nginx_edge_answers_total{status="414"})')
        return found[0][1] if found else 0.0

    before = told()
    with socket.create_connection(("127.0.0.1", PORT), timeout=10) as raw:
        raw.sendall(b"GET /v1/\xff\xef\xbf\xbd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert raw.recv(100)
    assert requests.get(f"{URL}/v1/search?q={'a' * 9000}", timeout=10).status_code == 414
    wait(lambda: told() == before + 1)


def test_every_chart_of_the_dashboard_has_something_to_show():
    """Grafana asks Prometheus these expressions; a wrong name or label shows nothing."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    asked = [t["expr"] for panel in dashboard["panels"] for t in panel.get("targets", [])]
    assert len(asked) > 20
    left = {
        expression.replace("$__rate_interval", "1m")
        for expression in asked
        if not any(name in expression for name in SILENT)
    }

    def shown() -> bool:
        """A rate takes two looks at what is still counted between them."""
        requests.get(f"{URL}/v1/search?q=charts&cache=0", timeout=10).raise_for_status()
        assert requests.get(f"{URL}/v1/search?q=charts&k=0", timeout=10).status_code == 400
        left.difference_update([one for one in left if values(one)])
        return not left

    wait(shown, what=lambda: str(left))


def test_metrics_are_not_public():
    answer = requests.get(f"{URL}/metrics", timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_request_id_says_which_replicas_a_question_has_met():
    """In the access log of the edge: the gateway, and the replicas that answered it."""
    name = f"lab-3b-{time.time_ns()}"
    asked = requests.get(
        f"{URL}/v1/search?q=who&probe=all&cache=0", headers={"X-Request-ID": name}, timeout=10
    )
    assert asked.headers["X-Request-ID"] == name
    log = ["grep", "--no-filename", name, "/var/log/nginx/access.log"]
    wanted = {"encoder", *(f"shard-{number}" for number in range(4))}

    def met() -> list[dict[str, str]]:
        """What the edge logged, and nginx before replicas where the gateway had no link."""
        told = [run_on(host, *log, check=False) for host in {*EDGES, "gateway-1", "gateway-2"}]
        return [json.loads(line) for line in "".join(told).splitlines()]

    wait(lambda: any(line["server"] == "edge" for line in met()), what=lambda: str(met()))
    lines = met()
    (edge,) = [line for line in lines if line["server"] == "edge"]
    assert edge["upstream"]
    answered = dict(one.split("=") for one in edge["asked"].split())
    assert answered.keys() == wanted
    through_pools = {line["server"]: line["upstream"] for line in lines if line is not edge}
    assert through_pools.keys() == {name for name, who in answered.items() if who == "pool"}
    for name, who in answered.items():
        host, _, port = (through_pools.get(name) or who).rpartition(":")
        unit = (
            "askfleet-encoder" if name == "encoder" else name.replace("shard-", "askfleet-shard@")
        )
        assert host in {address(one) for one, (_, units) in HOSTS.items() if unit in units}
        assert port == str(7100 if name == "encoder" else 7200 + int(name[-1]))
    assert "Askfleet-Asked" not in asked.headers


def test_a_request_id_comes_through_nginx_to_the_journal_of_a_shards_host():
    """Asked at the pool of a gateway host for a generation that no shard has: refused and told."""
    name = f"lab-3b-{time.time_ns()}"
    asked = ["--header", f"X-Request-ID: {name}", "--data", "x", "http://127.0.0.1:6200/search?k=1"]
    run_on(GATEWAY, "curl", "--silent", *asked)
    journal = ["journalctl", "--unit=askfleet-shard@0", "--output=cat", "--priority=warning"]
    owners = [host for host, (_, units) in HOSTS.items() if "askfleet-shard@0" in units]
    lines = [json.loads(line) for host in owners for line in run_on(host, *journal).splitlines()]
    (line,) = [one for one in lines if one.get("request_id") == name]
    assert (line["unit"], line["status"], line["code"]) == ("shard-0", 409, "generation_not_loaded")

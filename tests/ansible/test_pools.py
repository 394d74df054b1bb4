"""The real nginx with the rendered pools and edge, before replicas that are the test's own."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import requests
from asgi_client import Blocking
from own_nginx import configure, free_port, running
from scraped import Scraped

from app.gateway.call import Call, UpstreamError
from app.gateway.connections import Connections
from app.gateway.upstream import Fleet, ShardHit, Upstream, Wanted

pytestmark = pytest.mark.slow  # its fixtures are

MODEL, GENERATION = "0123456789abcdef", "20260101T000000Z-01234567"
QUERIES = np.eye(2, 4, dtype=np.float32)
FOUND = msgspec.json.encode({"generation": GENERATION, "shard": 0, "results": [[], []]})


class Replica(ThreadingHTTPServer):
    """Answers with ``status`` and ``body``, ``delay`` seconds late; keeps paths and headers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.body = 200, FOUND
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.delay = 0.0

    def lacks_the_generation(self) -> None:
        self.status, self.body = 409, b'{"code":"generation_not_loaded"}'

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Replica

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.path, dict(self.headers)))
        time.sleep(self.server.delay)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        with contextlib.suppress(OSError):  # nobody waits any more
            self.end_headers()
            self.wfile.write(self.server.body)

    do_GET = do_POST  # noqa: N815  # the name that http.server looks for

    def log_message(self, *_: object) -> None:
        """A test prints nothing."""


@pytest.fixture
def replicas() -> Iterator[list[Replica]]:
    servers = [Replica() for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield servers
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def ports(replicas: list[Replica], tmp_path: Path) -> Iterator[dict[str, int]]:
    """nginx as on a host that is edge and gateway; the ports of pool, edge and metrics."""
    ports = {"pool": free_port(), "edge": free_port(), "metrics": free_port()}
    addresses = [replica.address for replica in replicas]
    with running(configure(tmp_path, ports, addresses), ports["edge"]):
        yield ports


class Log:
    """What nginx has written of the requests to the edge."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def lines(self, count: int) -> list[dict[str, Any]]:
        """The lines of the access log, once there are so many; a line comes after its answer."""
        ends = time.monotonic() + 10
        while True:
            text = (self._directory / "access.log").read_text()
            found = [json.loads(line) for line in text.splitlines()]
            edge = [line for line in found if line["server"] == "edge"]
            if len(edge) >= count:
                assert len(edge) == count
                return edge
            assert time.monotonic() < ends, edge
            time.sleep(0.02)

    @property
    def everything(self) -> str:
        """All logs, whole."""
        return "".join(path.read_text() for path in self._directory.glob("*.log"))


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def edge_url(ports: dict[str, int]) -> str:
    return f"http://127.0.0.1:{ports['edge']}/v1/search"


def search(ports: dict[str, int], seconds: float = 10.0) -> list[list[ShardHit]]:
    pools = (f"http://127.0.0.1:{ports['pool']}",)
    upstream = Blocking(Upstream(Connections(1.0), Fleet("http://no", pools)))
    call = Call(time.monotonic() + seconds, {"X-Request-ID": "r-1"})
    found = upstream.search(0, Wanted(QUERIES, GENERATION, MODEL, 3), call)
    return [candidates.hits for candidates in found]


def test_a_replica_that_lacks_the_generation_costs_nobody_an_answer(
    ports: dict[str, int], replicas: list[Replica]
) -> None:
    replicas[0].lacks_the_generation()
    assert [search(ports) for _ in range(20)] == [[[], []]] * 20
    assert replicas[0].requests, "nginx chose it, and the gateway asked the other"
    assert {path for path, _ in replicas[1].requests} == {f"/search?generation={GENERATION}&k=3"}
    assert all(headers["X-Request-ID"] == "r-1" for _, headers in replicas[1].requests)


def test_the_ids_of_a_batch_pass_a_pool_and_no_edge(
    ports: dict[str, int], replicas: list[Replica]
) -> None:
    ids = ",".join(f"{number:064d}" for number in range(16))
    for told in ("one", "one,two", ids, f"{ids},more", "a b"):
        for port in (ports["pool"], ports["edge"]):
            url, headers = f"http://127.0.0.1:{port}/v1/search", {"X-Request-ID": told}
            requests.post(url, data=b"{}", headers=headers, timeout=10)
    seen = [headers["X-Request-ID"] for replica in replicas for _, headers in replica.requests]
    assert sorted(one for one in seen if len(one) != 32) == sorted(["one", "one", "one,two", ids])
    assert len(seen) == 10


def test_when_all_lack_it_the_error_is_the_409(
    ports: dict[str, int], replicas: list[Replica]
) -> None:
    for replica in replicas:
        replica.lacks_the_generation()
    with pytest.raises(UpstreamError, match="409 generation_not_loaded"):
        search(ports)
    assert sum(len(replica.requests) for replica in replicas) == 3


def test_when_one_is_dead_and_the_other_restarts_the_answer_is_waited_for(
    ports: dict[str, int], replicas: list[Replica]
) -> None:
    replicas[0].server_close()
    replicas[1].status, replicas[1].body = 503, b'{"code":"starting"}'

    def restarted() -> None:
        replicas[1].status, replicas[1].body = 200, FOUND

    timer = threading.Timer(0.6, restarted)
    timer.start()
    start = time.monotonic()
    assert search(ports) == [[], []]
    assert time.monotonic() - start > 0.5
    timer.join()


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_replica_that_fails_costs_nobody_an_answer(
    ports: dict[str, int], replicas: list[Replica], status: int
) -> None:
    replicas[0].status, replicas[0].body = status, b'{"code":"internal_error"}'
    assert [search(ports) for _ in range(20)] == [[[], []]] * 20
    assert 1 <= len(replicas[0].requests) <= 2, "nginx leaves it alone for 2 s"


def test_a_replica_is_asked_by_its_number_alone(
    ports: dict[str, int], replicas: list[Replica]
) -> None:
    replicas[1].status = 503
    url = f"http://127.0.0.1:{ports['pool']}/replica"
    assert requests.post(f"{url}/0/search?k=1", data=b"x", timeout=10).status_code == 200
    assert requests.post(f"{url}/1/search?k=1", data=b"x", timeout=10).status_code == 503
    assert [len(replica.requests) for replica in replicas] == [1, 1]
    assert replicas[0].requests[0][0] == "/search?k=1"
    for other in ("2/search", "x/search", ""):
        assert requests.post(f"{url}/{other}", data=b"x", timeout=10).status_code == 404
    assert [len(replica.requests) for replica in replicas] == [1, 1]


def test_the_edge_lets_nobody_choose_a_generation(
    ports: dict[str, int], replicas: list[Replica]
) -> None:
    headers = {"Askfleet-Generation": GENERATION, "Askfleet-Canary": "1"}
    url = f"http://127.0.0.1:{ports['edge']}/v1/search"
    assert requests.post(url, data=b"x", headers=headers, timeout=10).status_code == 200
    [(_, seen)] = [one for replica in replicas for one in replica.requests]
    assert "Askfleet-Generation" not in seen
    assert seen["Askfleet-Canary"] == "1"


# --- what the fleet answers, and a gateway that cannot -------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "shards_unavailable"), (503, "encoder_unavailable"), (504, "deadline")],
)
def test_what_the_fleet_answers_is_asked_once_and_counts_against_no_gateway(
    ports: dict[str, int], replicas: list[Replica], log: Log, method: str, status: int, code: str
) -> None:
    for replica in replicas:
        replica.status, replica.body = status, f'{{"code":"{code}"}}'.encode()
    for _ in range(20):
        answer = requests.request(method, edge_url(ports), data=b"x", timeout=10)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert sum(len(replica.requests) for replica in replicas) == 20
    assert min(len(replica.requests) for replica in replicas) > 5, "none was left alone"
    assert {(line["method"], line["status"]) for line in log.lines(20)} == {(method, status)}


@pytest.mark.parametrize("status", [500, 502])
def test_a_gateway_that_cannot_answer_is_asked_once_in_two_seconds(
    ports: dict[str, int], replicas: list[Replica], status: int
) -> None:
    replicas[0].status = status
    assert {ask(ports).status_code for _ in range(20)} == {200}
    assert 1 <= len(replicas[0].requests) <= 2


def test_where_no_gateway_can_answer_that_is_what_is_said(
    ports: dict[str, int], replicas: list[Replica], log: Log
) -> None:
    """The log has the client's method though a page of errors answers."""
    for replica in replicas:
        replica.status = 502
    answers = [ask(ports) for _ in range(4)]
    assert {answer.status_code for answer in answers} == {502}
    assert answers[-1].json()["code"] == "gateway_unreachable"
    assert {(line["method"], line["status"]) for line in log.lines(4)} == {("POST", 502)}


@pytest.mark.parametrize("path", ["/readyz", "/health"])
def test_a_gateway_that_is_not_ready_leaves_the_health_page_to_another(
    ports: dict[str, int], replicas: list[Replica], path: str
) -> None:
    replicas[0].status, replicas[0].body = 503, b'{"status":"draining"}'
    url = f"http://127.0.0.1:{ports['edge']}{path}"
    assert {requests.get(url, timeout=10).status_code for _ in range(10)} == {200}
    assert {seen for replica in replicas for seen, _ in replica.requests} == {"/readyz"}


@pytest.mark.parametrize(
    ("request_line", "sent", "logged"),
    [
        (b"POST /process HTTP/1.1", b"Content-Length: 99999999", ("POST", 413)),
        (b"DELETE /nothing HTTP/1.1", b"X: 1", ("DELETE", 404)),
        (b"GET /v1/search?q=secret HTTP/1.1", b"X: " + b"x" * 9000, ("GET", 400)),
        (b"GET /v1/search?q=secret" + b"x" * 9000 + b" HTTP/1.1", b"X: 1", ("GET", 414)),
        (b"PUT /v1/search?q=secret HTTP/3.0", b"X: 1", ("PUT", 505)),
    ],
)
def test_the_log_names_method_and_status_that_the_client_had(
    ports: dict[str, int], log: Log, request_line: bytes, sent: bytes, logged: tuple[str, int]
) -> None:
    with socket.create_connection(("127.0.0.1", ports["edge"]), timeout=10) as sock:
        sock.sendall(request_line + b"\r\nHost: x\r\n" + sent + b"\r\n\r\n")
        status = int(sock.recv(1 << 16).split()[1])
    [line] = log.lines(1)
    assert (line["method"], line["status"]) == logged
    assert status == line["status"]


def test_no_log_has_the_question(ports: dict[str, int], replicas: list[Replica], log: Log) -> None:
    """A gateway is dead, one hangs, one fails: nginx has something to say about each request."""
    replicas[0].server_close()
    url = f"{edge_url(ports)}?q=secret"
    for replicas[1].status, replicas[1].delay in ((200, 0.0), (502, 0.0), (200, HANGS)):
        requests.get(url, headers={"Referer": "http://x/?secret"}, timeout=20)
    requests.get(f"{url}{'x' * 9000}", timeout=20)
    log.lines(4)
    assert "secret" not in log.everything


# --- a replica, or a gateway, that takes requests and says nothing -------------------------------

HANGS = 5.0


def test_a_replica_that_hangs_costs_little_time(
    ports: dict[str, int], replicas: list[Replica]
) -> None:
    replicas[0].delay = HANGS
    waits = [timed(lambda: search(ports), [[], []]) for _ in range(10)]
    assert 1 <= len(replicas[0].requests) <= 2, "nginx leaves it alone for 2 s"
    assert 0.25 < max(waits) < 1.0


def test_a_slow_replica_that_is_the_only_one_left_is_waited_for(
    ports: dict[str, int], replicas: list[Replica]
) -> None:
    replicas[0].server_close()
    replicas[1].delay = 0.5
    assert search(ports) == [[], []]
    assert len(replicas[1].requests) > 1


def ask(ports: dict[str, int], body: bytes = b"x", query: str = "") -> requests.Response:
    url = f"{edge_url(ports)}{query}"
    return requests.post(url, data=body, timeout=20)


def timed(act: Callable[[], object], expected: object) -> float:
    start = time.monotonic()
    assert act() == expected
    return time.monotonic() - start


def test_a_gateway_that_hangs_costs_little_time(
    ports: dict[str, int], replicas: list[Replica]
) -> None:
    replicas[0].delay = HANGS
    waits = [timed(lambda: ask(ports).status_code, 200) for _ in range(10)]
    assert 1 <= len(replicas[0].requests) <= 2
    assert 0.25 < max(waits) < 1.0


@pytest.mark.parametrize(("body", "query"), [(b"x" * 1000, ""), (b"x", "?q=" + "x" * 1000)])
def test_long_requests_have_the_whole_deadline(
    ports: dict[str, int], replicas: list[Replica], body: bytes, query: str
) -> None:
    for replica in replicas:
        replica.delay = 0.8
    assert ask(ports, body, query).status_code == 200
    assert sum(len(replica.requests) for replica in replicas) == 1


def test_when_every_gateway_is_slow_one_is_waited_for(
    ports: dict[str, int], replicas: list[Replica]
) -> None:
    for replica in replicas:
        replica.delay = 0.6
    assert timed(lambda: ask(ports).status_code, 200) > 0.9
    assert sum(len(replica.requests) for replica in replicas) == 3


def test_more_than_gateways_can_take_is_refused_at_once(
    ports: dict[str, int], replicas: list[Replica]
) -> None:
    for replica in replicas:
        replica.delay = 1.0
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(ask, ports, b"x" * 1000) for _ in range(4)]
        while sum(len(replica.requests) for replica in replicas) < 4:
            time.sleep(0.01)
        refused = ask(ports)
        assert [one.result(10).status_code for one in waiting] == [200] * 4
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert refused.json()["code"] == "overloaded"
    assert refused.headers["Content-Type"] == "application/problem+json"


def test_nginx_tells_its_connections_and_nothing_else(ports: dict[str, int]) -> None:
    url = f"http://127.0.0.1:{ports['metrics']}"
    first = Scraped.parse(requests.get(f"{url}/metrics", timeout=10).text)
    second = Scraped.parse(requests.get(f"{url}/metrics", timeout=10).text)
    assert first.value("nginx_connections_active") >= 1
    assert first.value("nginx_connections_writing") == 1
    opened = [told.value("nginx_connections_opened_total") for told in (first, second)]
    assert 0 < opened[0] < opened[1]
    assert requests.get(url, timeout=10).status_code == 404


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "/metrics?x=1", "//metrics"])
def test_metrics_are_not_public(ports: dict[str, int], replicas: list[Replica], path: str) -> None:
    answer = requests.get(f"http://127.0.0.1:{ports['edge']}{path}", timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert not any(replica.requests for replica in replicas)

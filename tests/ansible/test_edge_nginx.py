"""The edge's nginx with two gateways that are late or say nothing: who is asked, and how long."""

from __future__ import annotations

import http.client
import http.server
import json
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_nginx import configure, free_port, running

pytestmark = pytest.mark.slow  # its fixtures are

DEADLINE = 1
ORIGIN = "https://widget.example:8443"
SHORT, LONG = b"x", b"x" * 1500
PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}


class Handler(http.server.BaseHTTPRequestHandler):
    """A gateway: the path says what it does."""

    protocol_version = "HTTP/1.1"
    asked: list[str]
    over: threading.Event

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append(self.path)
        if self.path == "/v1/hang":
            self.over.wait(30)
            self.close_connection = True
            return
        status = {"/v1/late": 504, "/v1/fault": 500}.get(self.path, 200)
        if self.command == "OPTIONS":
            status = 405
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_OPTIONS = do_GET = do_POST  # noqa: N815  # http.server calls them so

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Gateway(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


class Edge:
    """nginx of an edge, and what its gateways were asked."""

    def __init__(self, port: int, asked: list[str]) -> None:
        self.port, self.asked = port, asked

    def ask(
        self, path: str, body: bytes | None = None, method: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        self.asked.clear()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        method = method or ("GET" if body is None else "POST")
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.headers.items()}
        content = answer.read()
        connection.close()
        return answer.status, told, content


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    directory = tmp_path_factory.mktemp("edge")
    asked: list[str] = []
    over = threading.Event()
    handler = type("Told", (Handler,), {"asked": asked, "over": over})
    gateways = [Gateway(("127.0.0.1", 0), handler) for _ in range(2)]
    for gateway in gateways:
        threading.Thread(target=gateway.serve_forever, daemon=True).start()
    ports = {name: free_port() for name in ("pool", "edge", "metrics")}
    config = configure(
        directory,
        ports,
        [f"127.0.0.1:{gateway.server_address[1]}" for gateway in gateways],
        nginx_deadline_seconds=DEADLINE,
        nginx_cors_origins=[ORIGIN, "https://www.example.org"],
    )
    with running(config, ports["edge"]):
        yield Edge(ports["edge"], asked)
    over.set()
    for gateway in gateways:
        gateway.shutdown()
        gateway.server_close()


@pytest.mark.parametrize("body", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize(("path", "status"), [("/v1/late", 504), ("/v1/x", 200)])
def test_what_a_gateway_answers_is_asked_once(
    edge: Edge, path: str, status: int, body: bytes
) -> None:
    """A spent deadline is an answer: no other gateway is asked to spend it again."""
    answered, _, content = edge.ask(path, body)
    assert (answered, content) == (status, b"{}")
    assert edge.asked == [path]


@pytest.mark.parametrize(
    ("body", "asked", "seconds"),
    [(LONG, 2, 2 * (DEADLINE + 1)), (SHORT, 4, 2 * 0.3 + 2 * (DEADLINE + 1))],
    ids=["long", "short"],
)
def test_gateways_that_say_nothing_are_given_up_after_a_total_time(
    edge: Edge, body: bytes, asked: int, seconds: float
) -> None:
    time.sleep(2.1)  # nginx leaves alone who failed for 2 s
    begun = time.monotonic()
    status, headers, content = edge.ask("/v1/hang", body, Origin=ORIGIN)
    took = time.monotonic() - begun
    assert (status, json.loads(content)["code"]) == (504, "gateway_timeout")
    assert headers["access-control-allow-origin"] == ORIGIN
    assert len(edge.asked) == asked
    assert seconds - 0.5 < took < seconds + 1.5
    time.sleep(2.1)


def test_a_preflight_is_answered_by_the_edge(edge: Edge) -> None:
    status, headers, content = edge.ask("/process", method="OPTIONS", **PREFLIGHT)
    assert (status, content, edge.asked) == (204, b"", [])
    assert headers["access-control-allow-origin"] == ORIGIN
    assert headers["access-control-allow-methods"] == "GET, POST"
    assert "Authorization" in headers["access-control-allow-headers"]
    assert headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("changed", "known"),
    [
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": f"{ORIGIN}.evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Access-Control-Request-Method": ""}, True),
    ],
    ids=str,
)
def test_what_is_no_preflight_of_a_known_origin_goes_to_a_gateway(
    edge: Edge, changed: dict[str, str], known: bool
) -> None:
    status, headers, _ = edge.ask("/process", method="OPTIONS", **{**PREFLIGHT, **changed})
    assert (status, edge.asked) == (405, ["/process"])
    assert ("access-control-allow-origin" in headers) == known
    assert "access-control-allow-methods" not in headers


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/livez", None, 200),
        ("/v1/fault", b"x", 500),
        ("/nothing", None, 404),
        ("/preflight", None, 404),
        ("/v1/x", b"x" * (2 << 20), 413),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_page_can_read_every_answer(
    edge: Edge, path: str, body: bytes | None, status: int
) -> None:
    answered, headers, _ = edge.ask(path, body, Origin=ORIGIN)
    assert answered == status
    assert headers["access-control-allow-origin"] == ORIGIN
    assert "Retry-After" in headers["access-control-expose-headers"]
    assert headers["vary"] == "Origin"
    _, headers, _ = edge.ask(path, body, Origin="https://evil.example")
    assert "access-control-allow-origin" not in headers
    assert headers["vary"] == "Origin"


@pytest.mark.parametrize("origins", [[], ["*"]], ids=["none", "all"])
def test_without_origins_nothing_is_said_and_with_all_of_them_no_vary(
    tmp_path: Path, origins: list[str]
) -> None:
    ports = {"pool": 6200, "edge": 80, "metrics": 9113}
    config = configure(tmp_path, ports, ["127.0.0.1:7000"], nginx_cors_origins=origins)
    text = config.read_text()
    assert ("Access-Control-Allow-Origin * always" in text) == bool(origins)
    assert ("$askfleet_preflight" in text) == bool(origins)
    assert "Vary" not in text
    done = subprocess.run(["nginx", "-t", "-c", config], capture_output=True)
    assert done.returncode == 0, done.stderr

"""Bytes that are hardly HTTP, to every service and the edge: one clear answer, and on it goes."""

import json
import socket
import time
from collections.abc import Sequence

import pytest
from stack_processes import OFFSET, PORT, SERVICES, Stack, ask

QUESTIONS = b'{"queries": ["who wrote hamlet?"], "k": 1}'
DIRECT = ["gateway", "encoder", "shard-0"]
MEGABYTE = b"x" * (1 << 20)


class Target:
    """A service, or the edge, and a request that it answers."""

    def __init__(self, stack: Stack, name: str) -> None:
        model = ask("/health", url=stack.service("encoder")).json["model"]
        self.port = PORT if name == "edge" else SERVICES[name] + OFFSET
        self.path, self.body, self.headers = "/v1/search", QUESTIONS, b""
        if name == "encoder":
            self.path, self.body = "/encode", b'{"texts": ["who wrote hamlet?"]}'
        if name == "shard-0":
            self.path = f"/search?generation={stack.generation.name}&k=1"
            self.body = bytes(384 * 4) * 4
            self.headers = b"Askfleet-Model: " + model.encode() + b"\r\n"

    def request(self, *headers: str, body: bytes | None = None, line: str = "") -> bytes:
        """The request with these headers instead of its Content-Length."""
        head = "\r\n".join([line or f"POST {self.path} HTTP/1.1", "Host: a", *headers, ""]).encode()
        return head + self.headers + b"\r\n" + (self.body if body is None else body)


def exchange(port: int, *parts: bytes, half_close: bool = False) -> list[tuple[int, str, bytes]]:
    """Send all; the answers until the other side closes: status, Content-Type, body."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        try:
            for part in parts:
                connection.sendall(part)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(1 << 16):
                received += data
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has answered, and does not read the rest
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        fields = {
            name.lower(): value for name, _, value in (one.partition(": ") for one in lines[1:])
        }
        length = int(fields.get("content-length", 0))
        answers.append((int(lines[0].split()[1]), fields.get("content-type", ""), rest[:length]))
        received = rest[length:]
    return answers


def one_problem(answers: Sequence[tuple[int, str, bytes]], *statuses: int) -> dict[str, object]:
    """There is one answer, an error of one of these statuses, in our shape."""
    assert len(answers) == 1, answers
    [(status, content_type, body)] = answers
    assert status in statuses, body
    assert content_type == "application/problem+json"
    problem: dict[str, object] = json.loads(body)
    assert problem["status"] == status
    return problem


@pytest.fixture(params=[*DIRECT, "edge"])
def target(request: pytest.FixtureRequest, stack: Stack) -> Target:
    return Target(stack, request.param)


@pytest.fixture(params=DIRECT)
def direct(request: pytest.FixtureRequest, stack: Stack) -> Target:
    return Target(stack, request.param)


@pytest.fixture
def edge(stack: Stack) -> Target:
    return Target(stack, "edge")


def test_the_right_request_is_answered(target: Target):
    length = f"Content-Length: {len(target.body)}"
    [(status, _, body)] = exchange(target.port, target.request(length, "Connection: close"))
    assert status == 200, body


LENGTHS = ["-1", "+{n}", "0x{n:x}", "{n}, {n}", "{n}.0", "9" * 5000, ""]


@pytest.mark.parametrize("length", LENGTHS, ids=lambda value: value[:10])
def test_a_length_that_is_none(target: Target, length: str):
    value = length.format(n=len(target.body))
    answers = exchange(target.port, target.request(f"Content-Length: {value}"))
    one_problem(answers, 400, 413)


# Requests that two servers in a row might see end at different places.
SMUGGLING = [
    ("Content-Length: {n}", "Content-Length: 5"),
    ("Content-Length: {n}", "Transfer-Encoding: chunked"),
    ("Transfer-Encoding : chunked",),
    ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    ("Transfer-Encoding: xchunked",),
    ("Transfer-Encoding: \x0bchunked",),
    ("X: a\r\n Content-Length: {n}", "Content-Length: 5"),
    ("Content-Length: {n}\x00",),
    ("Content_Length: {n}", "Content-Length: x"),
]


@pytest.mark.parametrize("headers", SMUGGLING, ids=lambda value: value[0][:24])
def test_a_request_of_two_minds_is_refused_and_nothing_after_it_answered(
    target: Target, headers: tuple[str, ...]
):
    lines = [line.format(n=len(target.body)) for line in headers]
    second = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(target.body), target.body)
    answers = exchange(target.port, target.request(*lines, body=chunks) + second)
    one_problem(answers, 400, 411, 501)


CHUNKS = {
    "good": b"2\r\n{}\r\n0\r\n\r\n",
    "bad": b"zz\r\n{}\r\n0\r\n\r\n",
    "negative": b"-2\r\n{}\r\n0\r\n\r\n",
    "endless": b"ffffffffffffffffff\r\n{}\r\n",
}


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
def test_services_take_no_chunks(direct: Target, chunks: bytes):
    request = direct.request("Transfer-Encoding: chunked", "Connection: close", body=chunks)
    problem = one_problem(exchange(direct.port, request), 411)
    assert problem["code"] == "length_required"


def test_the_edge_makes_one_body_of_chunks(edge: Target):
    half = len(QUESTIONS) // 2
    parts = (QUESTIONS[:half], QUESTIONS[half:], b"")
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    request = edge.request("Transfer-Encoding: chunked", "Connection: close", body=body)
    [(status, _, answer)] = exchange(edge.port, request)
    assert status == 200, answer
    bad = edge.request("Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n0\r\n\r\n")
    one_problem(exchange(edge.port, bad), 400)


@pytest.mark.parametrize("chunked", [False, True])
def test_ten_megabytes_are_refused_at_once(target: Target, chunked: bool):
    header = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {10 << 20}"
    part = b"100000\r\n" + MEGABYTE + b"\r\n" if chunked else MEGABYTE
    begun = time.monotonic()
    answers = exchange(target.port, target.request(header, body=b""), *[part] * 10)
    assert time.monotonic() - begun < 5
    if answers:  # a reset may reach us before the answer does
        one_problem(answers, 411, 413)


def test_a_body_that_ends_too_early_is_not_taken_for_the_whole(direct: Target):
    request = direct.request(f"Content-Length: {len(direct.body) + 6144}", "Connection: close")
    problem = one_problem(exchange(direct.port, request, half_close=True), 400)
    assert problem["code"] == "incomplete_body"


def test_a_client_that_closes_its_half_gets_the_answer_or_none(edge: Target):
    """Work is not done for who has gone, and nginx takes half a close for that."""
    request = edge.request(f"Content-Length: {len(edge.body)}", "Connection: close")
    answers = exchange(edge.port, request, half_close=True)
    assert [status for status, _, _ in answers] in ([], [200])


LINES = [
    "GET /livez HTTP/9.9",
    "GET http://[other/livez HTTP/1.1",
    "GET /live\x01z HTTP/1.1",
    "GET /livez HTTP/1.1 HTTP/1.1",
    "GET  HTTP/1.1",
]


@pytest.mark.parametrize("line", LINES, ids=ascii)
def test_a_first_line_that_is_none(target: Target, line: str):
    one_problem(exchange(target.port, target.request(body=b"", line=line)), 400, 505)


def test_what_begins_as_tls_and_is_none(edge: Target, direct: Target):
    """The edge has HTTPS on another port; between hosts a service shakes hands, or closes."""
    line = "\x16\x03\x01\x02"
    one_problem(exchange(edge.port, edge.request(body=b"", line=line)), 400)
    request = direct.request(body=b"", line=line)
    assert exchange(direct.port, request, half_close=True) == []


@pytest.mark.parametrize("count", [150, 30_000])
def test_too_many_headers(target: Target, count: int):
    request = target.request(*[f"X-{n}: a" for n in range(count)], "Connection: close", body=b"")
    one_problem(exchange(target.port, request), 400, 431)


def test_a_question_in_a_url_may_be_as_long_as_the_edge_lets_it(edge: Target):
    line = "GET /v1/search?q=" + "%D0%B6" * 1300 + " HTTP/1.1"
    [(status, _, body)] = exchange(
        edge.port, edge.request("Connection: close", body=b"", line=line)
    )
    assert status == 200, body
    for letters in (8150, 8160, 8170, 8180, 8190, 9000):
        line = "GET /v1/search?q=" + "a" * letters + " HTTP/1.1"
        answers = exchange(edge.port, edge.request("Connection: close", body=b"", line=line))
        one_problem(answers, 400, 414)


@pytest.mark.parametrize("name", ["edge", "gateway"])
def test_a_question_in_a_url_need_not_be_escaped(stack: Stack, name: str):
    """curl sends the bytes that are typed."""
    target = Target(stack, name)
    found = []
    for letter in ("é", "%C3%A9", "e%CC%81"):
        line = f"GET /v1/search?cache=0&k=3&q=caf{letter}?"
        head = f"{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
        [(status, _, body)] = exchange(target.port, head)
        assert status == 200, body
        found.append(json.loads(body)["queries"])
    assert found[0] == found[1] == found[2]
    latin = b"GET /v1/search?q=caf\xe9 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert one_problem(exchange(target.port, latin), 400)["code"] == "invalid_utf8"


def test_vectors_that_are_no_numbers(stack: Stack):
    target = Target(stack, "shard-0")
    for number in (b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\x00\x00\x80\xff"):
        body = number + bytes(384 * 4 - 4)
        request = target.request(f"Content-Length: {len(body)}", "Connection: close", body=body)
        assert one_problem(exchange(target.port, request), 400)["code"] == "bad_vectors"


def test_no_service_has_seen_an_error_of_its_own(stack: Stack):
    for log in stack.directory.rglob("*.log"):
        assert "Traceback" not in log.read_text(errors="replace"), log

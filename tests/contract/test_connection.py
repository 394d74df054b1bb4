"""A shard in its real process: what its connections make of odd requests, byte by byte."""

import json
import socket
import time
from collections.abc import Iterator

import pytest
from service_process import ServiceProcess, shard_process
from small_generations import SmallGeneration, build_small

from app.wire import vectors_to_bytes

GET = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSE = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallGeneration:
    return build_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def shard(
    small: SmallGeneration, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    with shard_process(small.directory, tmp_path_factory.mktemp("run")) as process:
        yield process


def search(small: SmallGeneration, *headers: bytes) -> bytes:
    """The head of a search, without its length."""
    target = f"/search?generation={small.manifest.id}&k=1".encode()
    model = small.manifest.model.fingerprint.encode()
    lines = (b"POST %s HTTP/1.1" % target, b"Host: a", b"Askfleet-Model: %s" % model, *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def exchange(shard: ServiceProcess, *parts: bytes, half_close: bool = False) -> list[int | str]:
    """Send; what comes until the other side closes: each status, and the code of a problem."""
    received = b""
    with socket.create_connection(("127.0.0.1", shard.port), 10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.02)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        while data := connection.recv(1 << 16):
            received += data
    found: list[int | str] = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields[b"content-length"])
        found.append(int(head.split()[1]))
        if b"problem" in fields[b"content-type"]:
            found.append(json.loads(rest[:length])["code"])
        received = rest[length:]
    return found


def test_requests_behind_each_other_are_answered_in_order(
    shard: ServiceProcess, small: SmallGeneration
) -> None:
    body = vectors_to_bytes(small.vectors[:1])
    asked = search(small, b"Content-Length: %d" % len(body)) + body
    assert exchange(shard, GET + asked + b"GET /no HTTP/1.1\r\nHost: a\r\n\r\n" + CLOSE) == [
        200, 200, 404, "not_found", 200,
    ]  # fmt: skip


def test_a_request_may_come_in_pieces(shard: ServiceProcess, small: SmallGeneration) -> None:
    body = vectors_to_bytes(small.vectors[:1])
    head = search(small, b"Content-Length: %d" % len(body), b"Connection: close")
    assert exchange(shard, head[:9], head[9:], body[:5], body[5:]) == [200]


@pytest.mark.parametrize("chunks", [b"0\r\n\r\n", b"zz\r\n", b"-2\r\n{}\r\n", b"5\r\nab"])
def test_chunks_are_refused_whatever_they_are(
    shard: ServiceProcess, small: SmallGeneration, chunks: bytes
) -> None:
    asked = search(small, b"Transfer-Encoding: chunked") + chunks
    assert exchange(shard, asked) == [411, "length_required"]


@pytest.mark.parametrize("length", [b"9" * 5000, b"-1", b"", b"x"])
def test_a_length_that_is_none(
    shard: ServiceProcess, small: SmallGeneration, length: bytes
) -> None:
    assert exchange(shard, search(small, b"Content-Length: " + length)) == [400, "bad_request"]


def test_a_body_that_ends_too_early_is_told_so(
    shard: ServiceProcess, small: SmallGeneration
) -> None:
    asked = search(small, b"Content-Length: 64") + b"half"
    assert exchange(shard, asked, half_close=True) == [400, "incomplete_body"]


def test_who_closes_its_half_is_taken_for_gone_and_the_connection_ends(
    shard: ServiceProcess, small: SmallGeneration
) -> None:
    body = vectors_to_bytes(small.vectors[:1])
    asked = search(small, b"Content-Length: %d" % len(body)) + body
    assert exchange(shard, asked, half_close=True) in ([200], [408, "caller_gone"])
    assert exchange(shard, GET, half_close=True) == [200]
    assert exchange(shard, half_close=True) == []


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"GET http://a/livez HTTP/1.1", [400, "bad_request"]),
        (b"OPTIONS * HTTP/1.1", [400, "bad_request"]),
        (b"GET /livez HTTP/9.9", [400, "bad_request"]),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1", [414, "uri_too_long"]),
    ],
)
def test_a_first_line_that_is_none(
    shard: ServiceProcess, line: bytes, answer: list[int | str]
) -> None:
    assert exchange(shard, line + b"\r\nHost: a\r\n\r\n") == answer


def test_nobody_gets_a_websocket(shard: ServiceProcess) -> None:
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\n"
    request = b"GET /livez HTTP/1.1\r\nHost: a\r\n" + upgrade
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    assert exchange(shard, request + key) == [400, "bad_request"], "by Flask, as any request"

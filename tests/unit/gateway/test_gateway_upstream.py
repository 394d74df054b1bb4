"""Calls to the pools over real sockets: what is sent, and every way an answer can be wrong."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

import msgspec
import numpy as np
import pytest
from asgi_client import Blocking, run

from app.errors import ProblemError
from app.gateway.call import Call, NobodyError, UpstreamError, forwarded_headers
from app.gateway.connections import Connections
from app.gateway.upstream import Fleet, ShardHit, Upstream, Wanted
from app.service.request import Request
from app.tls import Identity
from app.wire import vectors_from_bytes, vectors_to_bytes

MODEL, GENERATION = "0123456789abcdef", "20260101T000000Z-01234567"
QUERIES = np.eye(2, 4, dtype=np.float32)
NOT_FINITE = vectors_to_bytes(np.full((2, 4), np.inf, dtype=np.float32))
Answer = tuple[int, dict[str, str], bytes]


class Pool(ThreadingHTTPServer):
    """Answers every POST with ``answer()``, or that of its path; keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: Callable[[], Answer] = lambda: (200, {}, b"")
        self.answers: dict[str, Callable[[], Answer]] = {}
        self.peers: set[object] = set()
        self.hangs_up = False  # after an answer, and without a word in it
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    def handle_error(self, *_: object) -> None:
        """A caller that gave up has closed its end."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Pool

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.peers.add(self.client_address)
        self.server.requests.append((self.path, dict(self.headers), body))
        status, headers, content = self.server.answers.get(
            self.path.partition("?")[0], self.server.answer
        )()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = self.close_connection or self.server.hangs_up

    def log_message(self, *_: object) -> None:
        """A test prints nothing."""


@pytest.fixture
def server() -> Iterator[Pool]:
    with Pool() as pool:
        thread = threading.Thread(target=pool.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield pool
        pool.shutdown()
        thread.join()


@pytest.fixture
def upstream(server: Pool) -> Blocking:
    return Blocking(Upstream(Connections(1.0), Fleet(server.url, (server.url, server.url))))


def call(seconds: float = 10.0) -> Call:
    return Call(time.monotonic() + seconds, {"X-Request-ID": "r-1"})


def shard_answer(**change: object) -> bytes:
    found = {"ordinal": 1, "id": "d1", "score": 0.5, "text": "t", "answer": None, "metadata": {}}
    return msgspec.json.encode(
        {"generation": GENERATION, "shard": 1, "results": [[found], []], **change}
    )


def search(upstream: Blocking) -> list[list[ShardHit]]:
    found = upstream.search(1, Wanted(QUERIES, GENERATION, MODEL, 3), call())
    return [candidates.hits for candidates in found]


def test_texts_go_out_and_vectors_come_back(server: Pool, upstream: Blocking) -> None:
    server.answer = lambda: (200, {"Askfleet-Model": MODEL}, vectors_to_bytes(QUERIES))
    vectors = upstream.encode(("a", "é"), MODEL, 4, call())
    assert np.array_equal(vectors, QUERIES)
    [(path, headers, body)] = server.requests
    assert path == f"/encode?model={MODEL}"
    assert msgspec.json.decode(body) == {"texts": ["a", "é"]}
    assert headers["X-Request-ID"] == "r-1"
    assert 0 < int(headers["Askfleet-Deadline-Ms"]) <= 10_000


def test_vectors_go_out_and_hits_come_back(server: Pool, upstream: Blocking) -> None:
    server.answer = lambda: (200, {}, shard_answer())
    [[found], nothing] = search(upstream)
    assert (found.id, found.score, bytes(found.metadata)) == ("d1", 0.5, b"{}")
    assert nothing == []
    [(path, headers, body)] = server.requests
    assert path == f"/search?generation={GENERATION}&k=3"
    assert headers["Askfleet-Model"] == MODEL
    assert np.array_equal(vectors_from_bytes(body, 4), QUERIES)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((500, {}, b""), "/search.*: 500 $"),
        ((503, {}, b'{"code":"draining"}'), "503 draining"),
        ((409, {}, b'{"code":"generation_not_loaded"}'), "409 generation_not_loaded"),
        ((502, {}, b"<html>\xff"), "502"),
        ((302, {"Location": "http://198.51.100.1/"}, b""), "302"),
        ((200, {}, b""), "shard 1: unreadable answer"),
        ((200, {}, b"[]"), "shard 1: unreadable answer"),
        ((200, {}, b'{"generation": "\xff"}'), "shard 1: unreadable answer"),
        ((200, {}, shard_answer(results=[[{"ordinal": 1}], []])), "unreadable answer"),
        ((200, {}, shard_answer(generation="another")), f"asked shard 1 of {GENERATION}, answered"),
        ((200, {}, shard_answer(shard=0)), "answered by 0 of"),
        ((200, {}, shard_answer(results=[[]])), "answered by 1 of"),
    ],
)
def test_a_wrong_answer_of_a_shard_is_none(
    server: Pool, upstream: Blocking, answer: Answer, message: str
) -> None:
    server.answer = lambda: answer
    with pytest.raises(UpstreamError, match=message):
        search(upstream)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((429, {}, b'{"code":"overloaded"}'), "429 overloaded"),
        ((200, {}, vectors_to_bytes(QUERIES)), "another model"),
        ((200, {"Askfleet-Model": "other"}, vectors_to_bytes(QUERIES)), "another model"),
        ((200, {"Askfleet-Model": MODEL}, vectors_to_bytes(QUERIES[:1])), "with 16 bytes, not"),
        ((200, {"Askfleet-Model": MODEL}, b""), "with 0 bytes, not"),
        ((200, {"Askfleet-Model": MODEL}, b"odd"), "with 3 bytes, not"),
        ((200, {"Askfleet-Model": MODEL}, NOT_FINITE), "not finite"),
    ],
)
def test_a_wrong_answer_of_the_encoder_is_none(
    server: Pool, upstream: Blocking, answer: Answer, message: str
) -> None:
    server.answer = lambda: answer
    with pytest.raises(UpstreamError, match=message):
        upstream.encode(("a", "b"), MODEL, 4, call())


def test_a_kept_connection_that_was_closed_meanwhile_is_made_anew(
    server: Pool, upstream: Blocking
) -> None:
    server.answer = lambda: (200, {}, shard_answer())
    server.hangs_up = True
    for _ in range(5):
        [[found], _] = search(upstream)
        assert found.id == "d1"
        time.sleep(0.01)
    assert len(server.requests) == len(server.peers) == 5, "nothing was asked twice"


# --- 409: nginx does not ask another replica, so the gateway does --------------------------------


def not_loaded(code: str = "generation_not_loaded", replicas: str = "3") -> Callable[[], Answer]:
    return lambda: (409, {"Askfleet-Replicas": replicas}, msgspec.json.encode({"code": code}))


def paths(server: Pool) -> list[str]:
    return [path.partition("?")[0] for path, _, _ in server.requests]


def test_a_409_is_asked_of_every_replica_until_one_answers(
    server: Pool, upstream: Blocking
) -> None:
    server.answer = not_loaded()
    server.answers["/replica/0/search"] = lambda: (503, {}, b'{"code":"draining"}')
    server.answers["/replica/1/search"] = lambda: (200, {}, shard_answer())
    [[found], _] = search(upstream)
    assert found.id == "d1"
    assert paths(server) == ["/search", "/replica/0/search", "/replica/1/search"]
    assert {path.partition("?")[2] for path, _, _ in server.requests} == {
        f"generation={GENERATION}&k=3"
    }
    assert len({body for _, _, body in server.requests}) == 1
    assert {headers["Askfleet-Model"] for _, headers, _ in server.requests} == {MODEL}


def test_an_encoders_409_is_asked_of_every_replica_too(server: Pool, upstream: Blocking) -> None:
    server.answer = not_loaded("model_not_loaded")
    server.answers["/replica/2/encode"] = lambda: (
        200,
        {"Askfleet-Model": MODEL},
        vectors_to_bytes(QUERIES),
    )
    assert np.array_equal(upstream.encode(("a", "b"), MODEL, 4, call()), QUERIES)
    assert paths(server)[-1] == "/replica/2/encode"


def test_when_no_replica_answers_the_pools_409_is_the_error(
    server: Pool, upstream: Blocking
) -> None:
    server.answer = not_loaded()
    server.answers["/replica/2/search"] = lambda: (502, {}, b"")
    with pytest.raises(UpstreamError, match=r"[0-9]/search: 409 generation_not_loaded$"):
        search(upstream)
    assert paths(server) == ["/search", *(f"/replica/{n}/search" for n in range(3))]


def test_replicas_are_asked_within_the_deadline(server: Pool, upstream: Blocking) -> None:
    release = threading.Event()

    def slow() -> Answer:
        release.wait(10)
        return 200, {}, b""

    server.answer = not_loaded()
    server.answers["/replica/0/encode"] = slow
    with pytest.raises(ProblemError) as caught:
        upstream.encode(("a",), MODEL, 4, call(0.3))
    release.set()
    assert (caught.value.status, caught.value.code) == (504, "deadline")
    assert paths(server) == ["/encode", "/replica/0/encode"]


@pytest.mark.parametrize(
    "answer",
    [
        not_loaded("model_mismatch"),
        not_loaded(replicas="many"),
        not_loaded(replicas="-1"),
        not_loaded(replicas="9999"),
        lambda: (409, {}, b'{"code":"generation_not_loaded"}'),
        lambda: (503, {"Askfleet-Replicas": "3"}, b'{"code":"generation_not_loaded"}'),
    ],
)
def test_other_errors_are_not_asked_of_others(
    server: Pool, upstream: Blocking, answer: Callable[[], Answer]
) -> None:
    server.answer = answer
    with pytest.raises(UpstreamError):
        search(upstream)
    assert paths(server) == ["/search"]


# --- 503: the last replica alive restarts --------------------------------------------------------


def test_while_the_last_replica_restarts_the_pool_is_asked_again(
    server: Pool, upstream: Blocking
) -> None:
    told = iter(["503", "502, 503, 502, 503", "503, 504"])

    def answer() -> Answer:
        tried = next(told, None)
        return (504, {"Askfleet-Tried": tried}, b"") if tried else (200, {}, shard_answer())

    server.answer = answer
    [[found], _] = search(upstream)
    assert found.id == "d1"
    assert paths(server) == ["/search"] * 4


def test_a_pool_that_stays_drained_is_given_up(
    server: Pool, upstream: Blocking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.gateway.pools.PATIENCE", 0.5)
    server.answer = lambda: (503, {"Askfleet-Tried": "503"}, b'{"code":"draining"}')
    with pytest.raises(UpstreamError, match="503 draining"):
        search(upstream)
    assert len(server.requests) > 2


@pytest.mark.slow
def test_a_pool_that_was_waited_for_in_vain_is_not_waited_for_again_until_it_answers(
    server: Pool, upstream: Blocking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.gateway.pools.PATIENCE", 0.5)
    refusal: Answer = (503, {"Askfleet-Tried": "503"}, b'{"code":"replica_broken"}')
    answer = refusal
    server.answer = lambda: answer

    def asked() -> int:
        before = len(server.requests)
        with pytest.raises(UpstreamError, match="503 replica_broken"):
            search(upstream)
        return len(server.requests) - before

    assert asked() > 2
    assert asked() == 1
    answer = (200, {}, shard_answer())
    search(upstream)
    answer = refusal
    assert asked() > 2


def test_it_is_asked_again_within_the_deadline(server: Pool, upstream: Blocking) -> None:
    server.answer = lambda: (503, {"Askfleet-Tried": "503"}, b"")
    start = time.monotonic()
    with pytest.raises(UpstreamError, match="503"):
        upstream.encode(("a",), MODEL, 4, call(0.5))
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    ("status", "reached", "somebody"),
    [(502, "", False), (502, "-, -", False), (504, "-, -", False), (502, "0.001, -", True)],
)
def test_where_all_are_dead_nobody_waits(
    server: Pool, upstream: Blocking, status: int, reached: str, somebody: bool
) -> None:
    """A replica that took the request and died may be one that another request leaves alive."""
    told = {"Askfleet-Tried": "502, 504", "Askfleet-Reached": reached}
    server.answer = lambda: (status, told, b"")
    with pytest.raises(UpstreamError, match=str(status)) as caught:
        search(upstream)
    assert isinstance(caught.value, NobodyError) != somebody
    assert paths(server) == ["/search"]


def test_in_tls_who_restarts_and_who_is_gone_look_alike_so_both_are_waited_for_once(
    server: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No hands are shaken with a service that restarts."""
    monkeypatch.setattr("app.gateway.pools.PATIENCE", 0.5)
    fleet = Fleet(server.url, (server.url, server.url), identity=cast(Identity, object()))
    encrypted = Blocking(Upstream(Connections(1.0), fleet))
    unreached = {"Askfleet-Tried": "504, 502", "Askfleet-Reached": "-, -"}
    told = iter([(504, unreached, b"")] * 2)
    server.answer = lambda: next(told, (200, {}, shard_answer()))
    search(encrypted)
    assert len(server.requests) == 3

    server.answer = lambda: (504, unreached, b"")
    for several in (True, False):
        before = len(server.requests)
        with pytest.raises(NobodyError):
            search(encrypted)
        assert (len(server.requests) - before > 1) == several


# --- short requests: another replica is asked soon -----------------------------------------------


def quick(server: Pool) -> list[bool]:
    return ["Askfleet-Quick" in headers for _, headers, _ in server.requests]


@pytest.mark.parametrize(
    ("tried", "reached"), [("504, 504", "0.001, 0.000"), ("504, 504, 502", "-, 0.000, -")]
)
def test_who_was_only_too_slow_is_waited_for(
    server: Pool, upstream: Blocking, tried: str, reached: str
) -> None:
    late = {"Askfleet-Tried": tried, "Askfleet-Reached": reached}
    told = iter([(504, late, b""), (200, {}, shard_answer())])
    server.answer = lambda: next(told)
    search(upstream)
    assert quick(server) == [True, False]


def test_who_is_too_slow_to_the_end_is_given_up(server: Pool, upstream: Blocking) -> None:
    late = {"Askfleet-Tried": "504", "Askfleet-Reached": "0.001"}
    server.answer = lambda: (504, late, b"")
    with pytest.raises(UpstreamError, match="504"):
        search(upstream)
    assert quick(server) == [True, False]


def test_who_cannot_be_reached_is_not_waited_for(server: Pool, upstream: Blocking) -> None:
    server.answer = lambda: (
        504,
        {"Askfleet-Tried": "504, 502", "Askfleet-Reached": "-, 0.001"},
        b"",
    )
    with pytest.raises(UpstreamError, match="504"):
        search(upstream)
    assert quick(server) == [True]


def test_many_or_long_questions_have_the_whole_deadline(server: Pool, upstream: Blocking) -> None:
    many = np.ones((9, 4), dtype=np.float32)
    server.answer = lambda: (200, {}, shard_answer(results=[[]] * 9))
    upstream.search(1, Wanted(many, GENERATION, MODEL, 3), call())
    server.answer = lambda: (200, {"Askfleet-Model": MODEL}, vectors_to_bytes(QUERIES))
    upstream.encode(("a" * 500, "b" * 500), MODEL, 4, call())
    upstream.encode(("a" * 400, "b" * 400), MODEL, 4, call())
    assert quick(server) == [False, False, True]


def test_nobody_there_is_an_upstream_error(server: Pool) -> None:
    url = server.url
    server.server_close()
    with pytest.raises(UpstreamError, match=r"Connection(Refused|Reset)Error"):
        Blocking(Upstream(Connections(1.0), Fleet(url, ()))).encode(("a",), MODEL, 4, call())


def test_an_answer_too_late_is_a_spent_deadline(server: Pool, upstream: Blocking) -> None:
    release = threading.Event()

    def slow() -> Answer:
        release.wait(10)
        return 200, {}, b""

    server.answer = slow
    with pytest.raises(ProblemError) as caught:
        upstream.encode(("a",), MODEL, 4, call(0.05))
    release.set()
    assert (caught.value.status, caught.value.code) == (504, "deadline")


def test_an_encoders_spent_deadline_is_the_requests(server: Pool, upstream: Blocking) -> None:
    server.answer = lambda: (504, {"Askfleet-Tried": "504"}, b'{"code":"deadline"}')
    with pytest.raises(ProblemError) as caught:
        upstream.encode(("a" * 2000,), MODEL, 4, call())
    assert (caught.value.status, caught.value.code) == (504, "deadline")
    assert len(server.requests) == 1


def test_without_time_left_nobody_is_asked(server: Pool, upstream: Blocking) -> None:
    with pytest.raises(ProblemError) as caught:
        upstream.encode(("a",), MODEL, 4, call(-1.0))
    assert (caught.value.status, caught.value.code) == (504, "deadline")
    assert server.requests == []


def test_proxies_of_the_environment_are_not_used(
    server: Pool, upstream: Blocking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:9")
    server.answer = lambda: (200, {}, shard_answer())
    search(upstream)
    assert len(server.requests) == 1


def test_connections_are_kept_alive(server: Pool, upstream: Blocking) -> None:
    server.answer = lambda: (200, {}, shard_answer())
    for _ in range(3):
        search(upstream)
    assert len(server.requests) == 3
    assert len(server.peers) == 1


def incoming_with(**headers: str) -> Request:
    pairs = [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, value in headers.items()
    ]
    return Request({"headers": pairs}, lambda: None)  # type: ignore[arg-type]  # has no body


def test_a_call_that_is_given_up_leaves_no_half_read_connection(server: Pool) -> None:
    release = threading.Event()

    def late() -> Answer:
        release.wait(10)
        return 200, {}, b"late"

    server.answers["/late"] = late
    server.answer = lambda: (200, {}, b"mine")

    async def case() -> list[bytes]:
        connections = Connections(1.0)

        async def post(target: str) -> bytes:
            return (await connections.post(server.url, target, b"", {}, 10)).body

        await post("/first")
        given_up = asyncio.create_task(post("/late"))
        while len(server.requests) < 2:
            await asyncio.sleep(0.01)
        given_up.cancel()
        found = [await post("/second")]
        release.set()
        return [*found, await post("/third")]

    assert run(case()) == [b"mine", b"mine"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"",
    ],
)
def test_what_is_no_whole_answer_is_an_error(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(UpstreamError, match=r"Connection(Reset)?Error"):
            Blocking(Upstream(Connections(1.0), Fleet(url, ()))).encode(("a",), MODEL, 4, call())
        thread.join()


def test_only_named_headers_go_on() -> None:
    incoming = incoming_with(**{"x-request-id": "r-1", "cookie": "secret", "askfleet-canary": "1"})
    assert forwarded_headers(incoming, ("X-Request-ID",)) == {"X-Request-ID": "r-1"}
    assert forwarded_headers(incoming, ("Askfleet-Canary", "X-Other")) == {}


@pytest.mark.parametrize("value", ["", " ", "\xa0", "\x7f", "a\x00b", "é"])
def test_a_header_that_would_spoil_the_call_stays_behind(value: str) -> None:
    assert forwarded_headers(incoming_with(**{"x-request-id": value}), ("X-Request-ID",)) == {}


def test_nginx_may_give_up_a_moment_before_the_deadline(server: Pool, upstream: Blocking) -> None:
    """Its own 504 has no code of ours."""

    def late() -> Answer:
        time.sleep(0.25)
        return 504, {"Askfleet-Tried": "504"}, b"<html>"

    server.answer = late
    with pytest.raises(ProblemError) as caught:
        upstream.encode(("a" * 2000,), MODEL, 4, Call(time.monotonic() + 0.3, {}))
    assert (caught.value.status, caught.value.code) == (504, "deadline")
    with pytest.raises(UpstreamError, match="504"):
        upstream.encode(("a" * 2000,), MODEL, 4, Call(time.monotonic() + 5, {}))

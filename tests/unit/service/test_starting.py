"""What a drained service says while it loads, over real sockets."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from app.service import starting
from app.service.starting import PATIENCE, StartingResponder, answer

PARTS = 50  # callers at one time


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=PARTS) as sock:
        yield sock


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    path = tmp_path / "drain"
    path.touch()
    return path


@pytest.fixture
def responder(listener: socket.socket, flag: Path) -> Iterator[StartingResponder]:
    responder = StartingResponder([listener], flag)
    yield responder
    responder.stop()


def connect(listener: socket.socket) -> socket.socket:
    return socket.create_connection(listener.getsockname(), 10)


def status(caller: socket.socket) -> int:
    """The status of the answer, which must be whole and the last of its connection."""
    response = HTTPResponse(caller)
    response.begin()
    body = json.loads(response.read())
    assert (body["status"], body["code"]) == (response.status, "starting")
    assert response.getheader("Content-Type") == "application/problem+json"
    assert response.getheader("Retry-After") == "1"
    assert response.getheader("Connection") == "close"
    assert caller.recv(1) == b""
    return response.status


def ask(listener: socket.socket, method: str = "GET", body: bytes | None = None) -> int:
    connection = HTTPConnection(*listener.getsockname()[:2], timeout=10)
    connection.request(method, "/search", body)
    assert connection.sock is not None
    return status(connection.sock)


@pytest.mark.usefixtures("responder")
def test_every_request_is_answered_at_once(listener: socket.socket) -> None:
    begun = time.monotonic()
    assert [ask(listener) for _ in range(20)] == [503] * 20
    assert time.monotonic() - begun < PATIENCE


@pytest.mark.usefixtures("responder")
def test_a_large_body_is_read_so_that_no_reset_destroys_the_answer(
    listener: socket.socket,
) -> None:
    for _ in range(5):
        assert ask(listener, "POST", b"x" * (8 << 20)) == 503


@pytest.mark.usefixtures("responder")
@pytest.mark.slow
def test_who_sends_nothing_blocks_nobody_and_is_let_go(listener: socket.socket) -> None:
    silent = [connect(listener) for _ in range(PARTS // 2)]
    slow = connect(listener)
    slow.sendall(b"GET / HT")
    begun = time.monotonic()
    assert ask(listener) == 503
    assert time.monotonic() - begun < PATIENCE / 2
    assert [status(caller) for caller in [*silent, slow]] == [503] * (len(silent) + 1)
    assert time.monotonic() - begun < 3 * PATIENCE


@pytest.mark.usefixtures("responder")
@pytest.mark.slow
def test_who_does_not_close_is_closed(listener: socket.socket) -> None:
    with connect(listener) as caller:
        caller.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert caller.recv(1 << 16) == answer(503)
        time.sleep(PATIENCE * 1.5)
        caller.sendall(b"more")  # answered by a reset, which the next one sees
        time.sleep(PATIENCE / 10)
        with pytest.raises(OSError, match=r"reset|[Bb]roken"):
            caller.sendall(b"more")


@pytest.mark.usefixtures("responder")
def test_a_caller_that_goes_away_harms_nobody(listener: socket.socket) -> None:
    for data in (b"", b"GET / HTTP/1.1\r\n\r\n"):
        caller = connect(listener)
        caller.sendall(data)
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        caller.close()  # a reset
    assert ask(listener) == 503


def test_after_stop_nothing_is_taken_from_the_listener(
    listener: socket.socket, responder: StartingResponder
) -> None:
    open_ = connect(listener)
    open_.sendall(b"GET / HTTP/1.1\r\n")
    assert ask(listener) == 503  # so the one before it has been accepted too
    responder.stop()
    waiting = connect(listener)
    waiting.sendall(b"GET / HTTP/1.1\r\n\r\n")
    open_.sendall(b"\r\n")
    assert status(open_) == 503, "accepted before: answered all the same"
    listener.settimeout(10)
    accepted, _ = listener.accept()
    assert accepted.getpeername() == waiting.getsockname()
    accepted.close()


def test_stop_waits_for_an_accept_that_has_begun(listener: socket.socket) -> None:
    entered, go = threading.Event(), threading.Event()

    class SlowFlag(type(Path())):  # type: ignore[misc]  # the concrete Path of this platform
        def exists(self) -> bool:
            entered.set()
            return go.wait(10)

    responder = StartingResponder([listener], SlowFlag("/drain"))
    stopper = threading.Thread(target=responder.stop)
    with connect(listener) as caller:
        caller.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert entered.wait(10)
        stopper.start()
        stopper.join(0.2)
        assert stopper.is_alive()
        go.set()
        stopper.join(10)
        assert not stopper.is_alive()
        assert status(caller) == 503


@pytest.mark.slow
def test_no_connection_is_lost_when_it_stops(listener: socket.socket, flag: Path) -> None:
    """Callers come all the time: each is answered here or found by the service, none by neither."""
    host, port = listener.getsockname()[:2]
    statuses: list[int] = []

    def call() -> None:
        connection = HTTPConnection(host, port, timeout=10)
        connection.request("GET", "/")
        statuses.append(connection.getresponse().status)
        connection.close()

    for _ in range(5):
        statuses.clear()
        responder = StartingResponder([listener], flag)
        callers = [threading.Thread(target=call) for _ in range(PARTS)]
        for number, caller in enumerate(callers):
            caller.start()
            if number == PARTS // 2:
                responder.stop()
        listener.settimeout(0.5)
        try:  # the service
            while True:
                sock, _ = listener.accept()
                with sock:
                    sock.recv(1 << 16)
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except TimeoutError:
            pass
        for caller in callers:
            caller.join()
        assert len(statuses) == PARTS
        assert set(statuses) <= {200, 503}
        assert 200 in statuses


@pytest.mark.usefixtures("responder")
@pytest.mark.slow
def test_without_the_flag_connections_wait(listener: socket.socket, flag: Path) -> None:
    assert ask(listener) == 503
    flag.unlink()
    with connect(listener) as waiting:
        waiting.sendall(b"GET / HTTP/1.1\r\n\r\n")
        waiting.settimeout(PATIENCE * 1.5)
        with pytest.raises(TimeoutError):
            waiting.recv(1)
        listener.settimeout(10)
        accepted, _ = listener.accept()
        accepted.close()


def test_a_fault_in_it_never_stops_the_start(
    listener: socket.socket, flag: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError("no selector")

    monkeypatch.setattr(starting.selectors, "DefaultSelector", fail)
    responder = StartingResponder([listener], flag)
    responder.stop()  # returns
    with connect(listener) as waiting:
        listener.settimeout(10)
        assert listener.accept()[1] == waiting.getsockname()


@pytest.mark.usefixtures("responder")
def test_a_handshake_of_tls_is_closed_at_once(listener: socket.socket) -> None:
    """nginx and gateways ask another replica then; an answer in plain text they would not read."""
    with connect(listener) as caller:
        begun = time.monotonic()
        caller.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert caller.recv(1000) == b""
        assert time.monotonic() - begun < PATIENCE

"""Notifications to systemd, and the question by which a service proves that it lives."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from app.service.notify import alive, notify, start_watchdog
from app.service.siblings import Board


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A notification socket and its address as NOTIFY_SOCKET names it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        if request.param == "path":
            address = str(tmp_path / "n")
            listener.bind(address)
        else:
            listener.bind("")  # the kernel chooses an abstract name
            address = "@" + listener.getsockname()[1:].decode()
        listener.settimeout(10)
        yield listener, address


@pytest.fixture
def answering() -> Iterator[list[int]]:
    """[port, status]: a server that answers /livez with a status that the test may change."""
    state = [0, 200]

    @Request.application
    def app(request: Request) -> Response:
        return Response(status=state[1] if request.path == "/livez" else 404)

    server = make_server("127.0.0.1", 0, app)
    server.RequestHandlerClass.log = lambda *_: None  # type: ignore[method-assign]  # a test prints nothing
    state[0] = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_state_arrives_as_it_is(systemd: tuple[socket.socket, str]) -> None:
    listener, address = systemd
    notify(address, "READY=1\nSTATUS=serving")
    assert listener.recv(100) == b"READY=1\nSTATUS=serving"


@pytest.mark.parametrize("address", [None, ""])
def test_without_systemd_nothing_is_sent(address: str | None) -> None:
    notify(address, "READY=1")


def test_alive_is_an_answer_of_200(answering: list[int]) -> None:
    assert alive(f"127.0.0.1:{answering[0]}", 10)
    answering[1] = 503
    assert not alive(f"127.0.0.1:{answering[0]}", 10)


def test_nobody_there_or_nobody_answering_is_not_alive() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert not alive(f"127.0.0.1:{port}", 0.05)
    assert not alive(f"127.0.0.1:{port}", 0.05)


def test_what_is_no_http_is_not_alive() -> None:
    with socket.create_server(("127.0.0.1", 0)) as babbling:

        def babble() -> None:
            peer, _ = babbling.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(b"hello\r\n\r\n")

        thread = threading.Thread(target=babble)
        thread.start()
        assert not alive(f"127.0.0.1:{babbling.getsockname()[1]}", 10)
        thread.join()


def test_a_lost_ping_does_not_end_the_watchdog(tmp_path: Path, answering: list[int]) -> None:
    address = str(tmp_path / "n")
    stop = start_watchdog(address, 0.02, f"127.0.0.1:{answering[0]}", Board(1), 0)
    time.sleep(0.2)  # nobody listens there yet
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(10)
        assert listener.recv(100) == b"WATCHDOG=1"
        stop.set()


@pytest.mark.slow
def test_the_watchdog_is_fed_only_while_the_service_answers(
    systemd: tuple[socket.socket, str], answering: list[int]
) -> None:
    listener, address = systemd
    answering[1] = 503
    stop = start_watchdog(address, 0.05, f"127.0.0.1:{answering[0]}", Board(1), 0)
    listener.settimeout(0.4)
    with pytest.raises(TimeoutError):
        listener.recv(100)
    answering[1] = 200
    listener.settimeout(10)
    assert listener.recv(100) == b"WATCHDOG=1"
    stop.set()

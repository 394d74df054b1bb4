"""Gateway and replicas come to one list, and the gateway knows whether all of them have."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.gateway import withdrawn
from app.gateway.withdrawn import Exchange
from app.generation.withdrawn import NOTHING, Withdrawn, parse
from app.service.withdrawn import Known

NOW = "2026-11-26T12:00:00Z"
OUT = NOTHING.changed(["a"], NOW, "root@one")
BACK = OUT.changed(["a"], NOW, "root@one", undo=True)


class Replica:
    """A shard as far as lists go; ``stop`` and ``start`` as systemd would."""

    def __init__(self) -> None:
        self.list = NOTHING
        self.status = 200
        self.hangs = threading.Event()
        self.pause = 0.0
        self.refuses = 0
        self.told = 0
        self.closes = False
        self._port = 0
        self._taken: list[socket.socket] = []
        self.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        replica = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                replica._taken.append(self.request)
                super().setup()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def answer(self, status: int, body: bytes = b"") -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if replica.closes:
                    self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                while replica.hangs.is_set():
                    threading.Event().wait(0.02)
                time.sleep(replica.pause)
                if replica.status != 200:
                    self.answer(replica.status)
                elif self.path.endswith(f"have={replica.list.digest}"):
                    self.answer(204)
                else:
                    self.answer(200, replica.list.content)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                replica.told += 1
                time.sleep(replica.pause)
                if replica.refuses:
                    self.answer(replica.refuses, b'{"code": "too_large", "detail": "too long"}')
                    return
                replica.list = replica.list.merged(parse(body))
                self.answer(204)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Whoever hung up is no news."""

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        for one in self._taken:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._taken.clear()


class Fixture:
    def __init__(self, links: Path) -> None:
        self.one, self.two = Replica(), Replica()
        self.known = Known(links)
        self.informed = 0
        addresses = [self.one.address, self.two.address]
        self.exchange = Exchange(self.known, addresses, None, self.inform)

    def inform(self) -> None:
        self.informed += 1

    def rounds(self, count: int = 1) -> bool:
        """Whether answers may be remembered after so many."""
        for _ in range(count):
            self.exchange.once()
        return self.known.now.agreed


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fixture]:
    monkeypatch.setattr(withdrawn, "PATIENCE", 0.2)
    made = Fixture(tmp_path / "links")
    yield made
    for one in (made.one, made.two):
        one.hangs.clear()
        one.stop()


def test_where_nothing_was_ever_withdrawn_nobody_can_be_behind(fleet: Fixture) -> None:
    now = fleet.known.now
    fleet.two.stop()
    assert fleet.rounds(2)
    fleet.two.start()
    assert fleet.rounds(2)
    assert fleet.known.now is now


@pytest.mark.parametrize("new", [OUT, BACK])
def test_answers_are_remembered_from_when_all_replicas_have_the_list(
    fleet: Fixture, new: Withdrawn
) -> None:
    fleet.one.list = new
    assert not fleet.rounds(), "the other one is told it now"
    assert fleet.two.list.digest == new.digest
    assert fleet.rounds()
    now = fleet.known.now
    assert fleet.rounds(3)
    assert fleet.known.now is now, "what is remembered stays"


@pytest.mark.parametrize("fault", ["hangs", "refuses", "before", "starting"])
def test_a_replica_that_may_be_behind_lets_nothing_be_remembered(
    fleet: Fixture, fault: str
) -> None:
    if fault == "hangs":
        fleet.two.hangs.set()
    elif fault == "refuses":
        fleet.two.refuses = 413
    else:
        fleet.two.status = {"before": 404, "starting": 502}[fault]
    fleet.known.hear(OUT)
    assert not fleet.rounds(3)
    fleet.two.hangs.clear()
    fleet.two.refuses, fleet.two.status = 0, 200
    assert fleet.rounds(3)


def test_a_replica_that_is_gone_keeps_nobody_from_remembering(fleet: Fixture) -> None:
    """It answers no question. When it is back, it may be behind, and what it made is forgotten."""
    fleet.known.hear(OUT)
    assert fleet.rounds(2)
    fleet.two.stop()
    assert fleet.rounds(2)
    now = fleet.known.now
    fleet.two.list = NOTHING
    fleet.two.start()
    assert not fleet.rounds()
    assert fleet.rounds()
    assert fleet.known.now is not now


def test_a_restart_between_two_rounds_is_seen(fleet: Fixture) -> None:
    """It answered by an older list until another gateway told it the new one."""
    fleet.known.hear(BACK)
    assert fleet.rounds(2)
    now = fleet.known.now
    fleet.two.stop()
    fleet.two.start()
    assert fleet.rounds(2)
    assert fleet.known.now is not now


def test_a_gateway_that_starts_waits_for_a_slow_replica(fleet: Fixture) -> None:
    """It was never informed: each try was given up after the same second."""
    fleet.one.list = OUT
    fleet.one.pause = fleet.two.pause = 0.5
    for _ in range(3):
        fleet.exchange.once()
    assert fleet.informed == 1
    assert fleet.known.ids == {"a"}


def test_a_replica_has_time_to_take_a_long_list(
    fleet: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.known.hear(OUT)
    monkeypatch.setattr(withdrawn, "PACE", len(OUT.content))
    tell = fleet.exchange._tell
    fleet.two.pause = 0.5
    tell(fleet.two.address, OUT)
    assert fleet.two.list == OUT


@pytest.mark.parametrize("fault", ["refuses", "too long"])
def test_who_is_not_told_is_named_once(
    fleet: Fixture,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if fault == "refuses":
        fleet.one.refuses = 503
    else:
        monkeypatch.setattr("app.generation.withdrawn.MAX_LIST", 0)
    fleet.known.hear(OUT)
    fleet.rounds(3)
    said = [line for line in caplog.messages if fleet.one.address in line]
    assert len(said) == 1
    assert ("503" if fault == "refuses" else "it may take 0 MiB") in said[0]
    if fault == "too long":
        assert fleet.one.told == 0
    else:
        fleet.one.refuses = 0
        fleet.rounds()
        assert fleet.one.list == OUT


def test_a_replica_that_says_that_it_ends_the_connection_may_start_anew(fleet: Fixture) -> None:
    fleet.known.hear(OUT)
    assert fleet.rounds(2)
    fleet.two.closes = True
    assert fleet.rounds()
    fleet.two.closes = False
    now = fleet.known.now
    assert fleet.rounds(2)
    assert fleet.known.now is not now

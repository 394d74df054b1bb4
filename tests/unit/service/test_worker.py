"""What SIGTERM does to a worker, without a process around it."""

import asyncio
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from gunicorn.asgi.parser import CallbackRequest, InvalidRequestLine, PythonProtocol

from app.service import protocol  # noqa: F401  # tells gunicorn's parser what a URL may have
from app.service.breaker import Breaker
from app.service.lifecycle import Lifecycle
from app.service.worker import ANNOUNCE, Worker


def worker(lifecycle: Lifecycle) -> Worker:
    one = Worker.__new__(Worker)
    one.alive, one.loop, one._stopped = True, asyncio.new_event_loop(), None
    one.asgi = SimpleNamespace(lifecycle=lifecycle)
    return one


@pytest.fixture
def lifecycle(tmp_path: Path) -> Lifecycle:
    lifecycle = Lifecycle(tmp_path / "drain", Breaker(lambda: None))
    lifecycle.mark_ready()
    return lifecycle


def test_readiness_says_it_before_the_worker_stops(lifecycle: Lifecycle) -> None:
    stopping = worker(lifecycle)
    stopping.announce()
    assert stopping.alive
    assert lifecycle.status() == "draining"
    stopping.loop.run_until_complete(asyncio.sleep(ANNOUNCE * 2))
    assert not stopping.alive


def test_a_drained_worker_has_nothing_to_announce(lifecycle: Lifecycle, tmp_path: Path) -> None:
    (tmp_path / "drain").touch()
    stopping = worker(lifecycle)
    stopping.announce()
    assert not stopping.alive
    assert lifecycle.status(canary=True) == "draining"


def test_sigterm_while_it_loads_ends_it(lifecycle: Lifecycle) -> None:
    stopping = worker(lifecycle)
    handlers = {one: signal.getsignal(one) for one in Worker.SIGNALS}
    try:
        stopping.init_signals()
        signal.raise_signal(signal.SIGTERM)
    finally:
        for one, handler in handlers.items():
            signal.signal(one, handler)
    assert not stopping.alive


def parsed(request: bytes) -> PythonProtocol:
    reader = PythonProtocol()
    reader.feed(request)
    return reader


@pytest.mark.parametrize("query", ["q=é", "q=%C3%A9", "q=日本&k=1"])
def test_a_url_may_have_plain_utf8(query: str) -> None:
    request = f"GET /v1/search?{query} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    assert CallbackRequest.from_parser(parsed(request)).query.encode("latin-1") == query.encode()


@pytest.mark.parametrize("byte", [b"\x01", b"\x7f", b"\t", b"\x00"])
def test_a_url_may_have_no_control_characters(byte: bytes) -> None:
    request = b"GET /v1/search?q=a" + byte + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    with pytest.raises(InvalidRequestLine):
        parsed(request)

"""What SIGTERM does to a worker, without a process around it."""

import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import InvalidRequestLine
from gunicorn.http.parser import RequestParser

from app.service.breaker import Breaker
from app.service.lifecycle import Lifecycle
from app.service.worker import ANNOUNCE, Worker


def worker(lifecycle: Lifecycle | None) -> Worker:
    one = Worker.__new__(Worker)
    one.alive = True
    one.method_queue = SimpleNamespace(defer=lambda _: None)
    if lifecycle is not None:
        one.wsgi = SimpleNamespace(extensions={"askfleet.lifecycle": lifecycle})
    return one


@pytest.fixture
def lifecycle(tmp_path: Path) -> Lifecycle:
    lifecycle = Lifecycle(tmp_path / "drain", Breaker(lambda: None))
    lifecycle.mark_ready()
    return lifecycle


def test_readiness_says_it_before_the_worker_stops(lifecycle: Lifecycle) -> None:
    stopping = worker(lifecycle)
    stopping.handle_exit(signal.SIGTERM, None)
    assert stopping.alive
    assert lifecycle.status() == "draining"
    time.sleep(ANNOUNCE * 2)
    assert not stopping.alive


def test_a_drained_worker_has_nothing_to_announce(lifecycle: Lifecycle, tmp_path: Path) -> None:
    (tmp_path / "drain").touch()
    stopping = worker(lifecycle)
    stopping.handle_exit(signal.SIGTERM, None)
    assert not stopping.alive
    assert lifecycle.status(canary=True) == "draining"


def test_sigterm_while_it_loads_ends_it() -> None:
    stopping = worker(None)
    stopping.handle_exit(signal.SIGTERM, None)
    assert not stopping.alive


@pytest.mark.parametrize("query", ["q=é", "q=%C3%A9", "q=日本&k=1"])
def test_a_url_may_have_plain_utf8(query: str) -> None:
    request = f"GET /v1/search?{query} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    parsed = next(RequestParser(Config(), [request], ("127.0.0.1", 1)))
    assert parsed.query.encode("latin-1") == query.encode()


@pytest.mark.parametrize("byte", [b"\x01", b"\x7f", b"\t", b"\x00"])
def test_a_url_may_have_no_control_characters(byte: bytes) -> None:
    request = b"GET /v1/search?q=a" + byte + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    with pytest.raises(InvalidRequestLine):
        next(RequestParser(Config(), [request], ("127.0.0.1", 1)))

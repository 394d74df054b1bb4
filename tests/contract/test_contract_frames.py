"""Frames in a shard's real process: the switch, answers, refusals, and what is no frame."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from service_process import ServiceProcess, shard_process
from small_generations import SmallGeneration, build_small

from app.wire import frames, vectors_to_bytes
from app.wire.frames import Answer, Encode, Refusal, Reply, Search, Splitter

SWITCH = (
    b"GET /frames HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: askfleet-frames/1\r\n\r\n"
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallGeneration:
    return build_small(tmp_path_factory.mktemp("small"))


@pytest.fixture
def shard(small: SmallGeneration, tmp_path: Path) -> Iterator[ServiceProcess]:
    with shard_process(small.directory, tmp_path) as process:
        yield process


class Caller:
    """A connection that has been switched."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._splitter = Splitter(1 << 24)
        self._replies: dict[int, Reply] = {}

    def send(self, number: int, asked: frames.Question) -> None:
        self.connection.sendall(frames.frame(number, asked))

    def reply(self, number: int) -> Reply:
        while number not in self._replies:
            data = self.connection.recv(1 << 16)
            assert data, "the connection was closed"
            for told, payload in self._splitter.feed(data):
                self._replies[told] = frames.reply(payload)
        return self._replies.pop(number)


def head(connection: socket.socket) -> bytes:
    told = b""
    while b"\r\n\r\n" not in told and (data := connection.recv(1)):
        told += data
    return told


@contextmanager
def switched(shard: ServiceProcess) -> Iterator[Caller]:
    with socket.create_connection(("127.0.0.1", shard.port), 10) as connection:
        connection.sendall(SWITCH)
        assert head(connection).startswith(b"HTTP/1.1 101 ")
        yield Caller(connection)


def search(
    small: SmallGeneration,
    k: int = 3,
    generation: str = "",
    model: str = "",
    terms: tuple[bytes, ...] = (),
) -> Search:
    manifest = small.manifest
    asked = vectors_to_bytes(small.vectors[:2])
    made_by = model or manifest.model.fingerprint
    return Search(generation or manifest.id, made_by, k, "r-1", asked, terms)


def by_http(shard: ServiceProcess, small: SmallGeneration, terms: tuple[bytes, ...] = ()) -> bytes:
    connection = shard.connect()
    tail = msgspec.msgpack.encode(terms) if terms else b""
    connection.request(
        "POST",
        f"/search?generation={small.manifest.id}&k=3&terms={len(tail)}",
        vectors_to_bytes(small.vectors[:2]) + tail,
        {"Askfleet-Model": small.manifest.model.fingerprint},
    )
    return connection.getresponse().read()


@pytest.mark.parametrize("terms", [(), (b"\0abc", b"\1namedefghi")])
def test_the_answer_is_that_of_http(
    shard: ServiceProcess, small: SmallGeneration, terms: tuple[bytes, ...]
) -> None:
    with switched(shard) as caller:
        for number in (1, 7, 0xFFFFFFFF):
            caller.send(number, search(small, terms=terms))
        for number in (7, 0xFFFFFFFF, 1):
            told = caller.reply(number)
            assert isinstance(told, Answer)
            assert told.body == by_http(shard, small, terms)
            assert told.slots == 1


def test_wrong_terms_are_refused(shard: ServiceProcess, small: SmallGeneration) -> None:
    with switched(shard) as caller:
        caller.send(1, search(small, terms=(b"\0",)))
        caller.send(2, search(small, terms=(b"\0", b"\0ab")))
        for number in (1, 2):
            told = caller.reply(number)
            assert isinstance(told, Refusal)
            assert (told.status, told.code) == (400, "bad_terms")


def test_frames_may_come_in_pieces(shard: ServiceProcess, small: SmallGeneration) -> None:
    with switched(shard) as caller:
        sent = frames.frame(1, search(small)) + frames.frame(2, search(small))
        for at in range(0, len(sent), 97):
            caller.connection.sendall(sent[at : at + 97])
            time.sleep(0.001)
        assert caller.reply(1) == caller.reply(2)


@pytest.mark.parametrize(
    ("change", "k", "status", "code"),
    [
        ({"generation": "another"}, 3, 409, "generation_not_loaded"),
        ({"model": "another"}, 3, 409, "model_mismatch"),
        ({}, 0, 400, "bad_k"),
        ({}, 1001, 400, "bad_k"),
    ],
)
def test_what_is_wrong_is_refused_and_the_next_answered(
    shard: ServiceProcess,
    small: SmallGeneration,
    change: dict[str, str],
    k: int,
    status: int,
    code: str,
) -> None:
    with switched(shard) as caller:
        caller.send(1, search(small, k, **change))
        caller.send(2, search(small))
        told = caller.reply(1)
        assert isinstance(told, Refusal)
        assert (told.status, told.code) == (status, code)
        assert told.detail
        assert isinstance(caller.reply(2), Answer)


def test_a_question_of_another_service_is_refused(
    shard: ServiceProcess, small: SmallGeneration
) -> None:
    with switched(shard) as caller:
        caller.send(1, Encode(small.manifest.model.fingerprint, 1000, "r", ["a"]))
        told = caller.reply(1)
        assert isinstance(told, Refusal)
        assert told.status == 404


def test_a_drained_shard_refuses_old_links_and_new_ones(
    shard: ServiceProcess, small: SmallGeneration, tmp_path: Path
) -> None:
    drain = tmp_path / "drain"
    with switched(shard) as caller:
        drain.touch()
        caller.send(1, search(small))
        told = caller.reply(1)
        assert isinstance(told, Refusal)
        assert (told.status, told.code) == (503, "draining")
        with socket.create_connection(("127.0.0.1", shard.port), 10) as another:
            another.sendall(SWITCH)
            assert head(another).startswith(b"HTTP/1.1 503 ")
        drain.unlink()
        caller.send(2, search(small))
        assert isinstance(caller.reply(2), Answer)


@pytest.mark.parametrize(
    "asked",
    [
        b"GET /frames HTTP/1.1\r\nHost: a\r\n\r\n",
        SWITCH.replace(b"frames/1", b"frames/2"),
        SWITCH.replace(b"Upgrade: askfleet-frames/1", b"Upgrade: websocket"),
    ],
)
def test_another_format_is_not_switched_to(shard: ServiceProcess, asked: bytes) -> None:
    with socket.create_connection(("127.0.0.1", shard.port), 10) as connection:
        connection.sendall(asked)
        assert head(connection).startswith(b"HTTP/1.1 404 ")
    assert shard.get("/readyz") == 200


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack("<II", 1 << 31, 1),
        struct.pack("<II", 0, 1),
        struct.pack("<II", 3, 1) + b"\xc1\xc1\xc1",
        b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n",
        frames.frame(1, Answer(1, b"")),
    ],
)
def test_what_is_no_frame_ends_the_connection_and_no_other(
    shard: ServiceProcess, small: SmallGeneration, sent: bytes
) -> None:
    with switched(shard) as caller, switched(shard) as other:
        caller.connection.sendall(sent)
        with pytest.raises((AssertionError, ConnectionError)):
            caller.reply(1)
        other.send(1, search(small))
        assert isinstance(other.reply(1), Answer)


def until_full(connection: socket.socket, frame: bytes) -> int:
    """Bytes that the other side takes before it takes no more."""
    sent = 0
    while sent < 512 << 20:
        try:
            sent += connection.send(frame)
        except TimeoutError:
            break
    return sent


def test_a_caller_that_reads_nothing_is_asked_no_more_from(
    shard: ServiceProcess, small: SmallGeneration
) -> None:
    """What waits for it is bounded, and whoever else asks is answered."""
    with switched(shard) as caller, switched(shard) as other:
        caller.connection.settimeout(1)
        other.connection.settimeout(60)  # what was taken is answered first
        assert until_full(caller.connection, frames.frame(1, search(small))) < 64 << 20
        other.send(1, search(small))
        assert isinstance(other.reply(1), Answer)


def test_an_idle_link_does_not_keep_a_service_from_stopping(shard: ServiceProcess) -> None:
    with switched(shard) as caller:
        begun = time.monotonic()
        shard.terminate()
        assert shard.exit_code() == 0
        assert time.monotonic() - begun < 3
        assert caller.connection.recv(1) == b""


def test_requests_over_links_are_counted(shard: ServiceProcess, small: SmallGeneration) -> None:
    with switched(shard) as caller:
        caller.send(1, search(small))
        caller.reply(1)
        caller.send(2, search(small, generation="another"))
        caller.reply(2)
    connection = shard.connect()
    connection.request("GET", "/metrics")
    told = connection.getresponse().read().decode()
    assert 'askfleet_requests_total{endpoint="/search",status="200"} 1.0' in told
    assert 'askfleet_requests_total{endpoint="/search",status="409"} 1.0' in told
    assert 'askfleet_problems_total{code="generation_not_loaded"} 1.0' in told
    assert "generation_not_loaded" in shard.log.read_text()

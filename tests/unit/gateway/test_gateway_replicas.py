"""Links to replicas that do all that replicas can do, over real sockets."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from asgi_client import run

from app.errors import ProblemError
from app.gateway.call import Call, UpstreamError
from app.gateway.replicas import NoLinkError, Replicas
from app.service.frames import SWITCHED
from app.wire.frames import (
    MAX_QUESTION,
    Answer,
    Encode,
    Question,
    Refusal,
    Reply,
    Splitter,
    frame,
    question,
)

Script = Callable[[Question], Awaitable[Reply | None]]
NEVER = 30.0


class Service:
    """A replica: answers the switch with ``head`` and each question by ``script``."""

    def __init__(self, script: Script, head: bytes = SWITCHED) -> None:
        self.script = script
        self.head = head
        self.asked: list[Question] = []
        self.links = 0
        self._tasks: list[asyncio.Future[None]] = []
        self._server: asyncio.Server

    @property
    def address(self) -> str:
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        splitter = Splitter(MAX_QUESTION)
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.head)
            self.links += self.head == SWITCHED
            while data := await reader.read(1 << 16):
                for number, payload in splitter.feed(data):
                    self.asked.append(question(payload))
                    task = asyncio.ensure_future(self._answer(number, self.asked[-1], writer))
                    self._tasks.append(task)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, number: int, asked: Question, writer: asyncio.StreamWriter) -> None:
        told = await self.script(asked)
        if told is None:
            writer.transport.abort()
        else:
            writer.write(frame(number, told))


def says(told: Reply | None, after: float = 0.0) -> Script:
    async def answer(_: Question) -> Reply | None:
        await asyncio.sleep(after)
        return told

    return answer


GOOD = says(Answer(3, b"good"))


@contextmanager
def fleet(*services: Service, patience: float = 0.3) -> Iterator[Replicas]:
    """Replicas that are linked, where they can be."""
    for service in services:
        run(service.start())
    replicas = Replicas("pool", [service.address for service in services], patience)
    with pytest.raises(NoLinkError):
        ask(replicas)  # it is not waited for a link
    ends = time.monotonic() + 5
    wanted = sum(service.head == SWITCHED for service in services)
    while replicas.linked() < wanted:
        assert time.monotonic() < ends
        time.sleep(0.01)
    yield replicas
    for service in services:
        run(service.stop())


def ask(replicas: Replicas, seconds: float = 5.0) -> Answer:
    call = Call(time.monotonic() + seconds, {})

    async def once() -> Answer:
        return await replicas.ask(lambda left: Encode("m", round(left * 1000), "r", ["a"]), call)

    return run(once())


def test_a_question_goes_over_a_link_that_is_kept() -> None:
    service = Service(GOOD)
    with fleet(service) as replicas:
        assert [ask(replicas).body for _ in range(3)] == [b"good"] * 3
        assert (service.links, len(service.asked)) == (1, 3)
        assert replicas.at_once() == 3, "as many slots as the service told"
        told = service.asked[0]
        assert isinstance(told, Encode)
        assert 0 < told.milliseconds <= 5000
        assert (replicas.answered, replicas.left_to_pool) == (3, 1)


def test_many_are_under_way_on_one_link_and_answered_in_any_order() -> None:
    async def script(asked: Question) -> Reply:
        assert isinstance(asked, Encode)
        await asyncio.sleep(0.2 / (1 + int(asked.texts[0])))
        return Answer(1, asked.texts[0].encode())

    service = Service(script)
    with fleet(service, patience=5) as replicas:

        async def all_at_once() -> list[Answer]:
            call = Call(time.monotonic() + 5, {})

            def one(number: int) -> Awaitable[Answer]:
                return replicas.ask(lambda _: Encode("m", 1, "r", [str(number)]), call)

            return await asyncio.gather(*map(one, range(20)))

        assert [int(one.body) for one in run(all_at_once())] == list(range(20))
        assert service.links == 1


def test_the_replica_with_the_fewest_under_way_is_asked() -> None:
    slow, quick = Service(says(Answer(1, b"slow"), 0.5)), Service(GOOD)
    with fleet(slow, quick, patience=3) as replicas:

        async def several() -> list[Answer]:
            call = Call(time.monotonic() + 5, {})
            question = Encode("m", 1, "r", ["a"])
            first = [asyncio.ensure_future(replicas.ask(lambda _: question, call)) for _ in "ab"]
            await asyncio.sleep(0.1)  # one of them is under way still
            return [await replicas.ask(lambda _: question, call) for _ in range(8)] + [
                await one for one in first
            ]

        assert [one.body for one in run(several())][:8] == [b"good"] * 8


@pytest.mark.parametrize(
    "script",
    [
        says(Refusal(503, "draining", "")),
        says(Refusal(500, "internal_error", "")),
        says(None),
        says(Answer(1, b"late"), NEVER),
    ],
    ids=["drained", "broken", "gone", "hangs"],
)
def test_who_fails_is_left_alone_and_the_other_asked(script: Script) -> None:
    bad, good = Service(script), Service(GOOD)
    with fleet(bad, good) as replicas:
        begun = time.monotonic()
        assert [ask(replicas).body for _ in range(6)] == [b"good"] * 6
        assert time.monotonic() - begun < 1.5
        assert len(bad.asked) == 1, "it is not asked again for two seconds"


def test_who_was_left_alone_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.gateway.replicas.OUT_SECONDS", 0.1)
    service, good = Service(says(None)), Service(GOOD)
    with fleet(service, good) as replicas:
        while not service.asked:
            ask(replicas)
        service.script = GOOD
        ends = time.monotonic() + 5
        while len(service.asked) < 3:
            assert time.monotonic() < ends
            assert ask(replicas).body == b"good"
        assert service.links == 2


@pytest.mark.slow
def test_the_only_replica_has_the_whole_deadline() -> None:
    with fleet(Service(says(Answer(1, b"late"), 0.8)), patience=0.1) as replicas:
        assert ask(replicas).body == b"late"


def test_when_all_are_slow_the_pool_is_asked() -> None:
    services = [Service(says(Answer(1, b"late"), NEVER)) for _ in "ab"]
    with fleet(*services, patience=0.1) as replicas, pytest.raises(NoLinkError):
        ask(replicas)


def test_a_spent_deadline_is_nobodys_fault() -> None:
    with fleet(Service(says(Answer(1, b"late"), NEVER)), Service(GOOD), patience=9) as replicas:
        told = []
        for _ in range(2):
            with suppress(ProblemError):
                told.append(ask(replicas, 0.3).body)
        assert told == [b"good"]


def test_an_encoder_that_says_504_is_believed() -> None:
    spent = Service(says(Refusal(504, "deadline", "")))
    with fleet(spent) as replicas, pytest.raises(ProblemError, match="time is up"):
        ask(replicas)


def test_what_one_has_not_loaded_another_may_have() -> None:
    lacks, good = Service(says(Refusal(409, "generation_not_loaded", ""))), Service(GOOD)
    with fleet(lacks, good) as replicas:
        for _ in range(6):
            assert ask(replicas).body == b"good"
        assert len(lacks.asked) == 3, "it may be asked for what it has"


@pytest.mark.parametrize("status", [400, 404, 413, 429])
def test_what_another_would_say_too_is_an_error(status: int) -> None:
    services = [Service(says(Refusal(status, "code", ""))) for _ in "ab"]
    with fleet(*services) as replicas:
        with pytest.raises(UpstreamError, match=f"pool: {status} code") as caught:
            ask(replicas)
        assert not isinstance(caught.value, NoLinkError)
        assert sum(len(service.asked) for service in services) == 1


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        b"\x00" * 9000,
    ],
    ids=["an older release", "drained", "something else"],
)
def test_who_has_no_frames_is_left_to_the_pool(head: bytes) -> None:
    with fleet(Service(GOOD, head), Service(GOOD)) as replicas:
        assert ask(replicas).body == b"good"
        time.sleep(0.1)
        assert replicas.linked() == 1


def test_nobody_there_is_left_to_the_pool() -> None:
    replicas = Replicas("pool", ["127.0.0.1:9"], 0.3)
    for _ in range(2):
        with pytest.raises(NoLinkError):
            ask(replicas)
        time.sleep(0.05)
    assert replicas.linked() == 0


def test_garbage_instead_of_a_reply_ends_the_link() -> None:
    async def garbage(_: Question) -> Reply:
        return Encode("no", 1, "reply", [])  # type: ignore[return-value]  # that is the fault

    with fleet(Service(garbage), Service(GOOD)) as replicas:
        assert [ask(replicas).body for _ in range(4)] == [b"good"] * 4
        assert replicas.linked() == 1

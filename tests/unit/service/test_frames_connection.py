"""One connection of frames on the service's side, with a transport that keeps what it is told."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from app.service import frames as service_frames
from app.service.frames import MAX_UNDER_WAY, Frames
from app.wire.frames import Answer, Encode, Question, Reply, Splitter, frame

ASKED = Encode("m", 1000, "r", ["a"])


class Transport:
    """What a connection is written to; says whether it reads."""

    def __init__(self) -> None:
        self.sent = b""
        self.reading = True
        self.aborted = False

    def set_protocol(self, _: object) -> None:
        pass

    def write(self, data: bytes) -> None:
        self.sent += data

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def abort(self) -> None:
        self.aborted = True

    def replies(self) -> int:
        return len(Splitter(1 << 20).feed(self.sent.partition(b"\r\n\r\n")[2]))


Answers = Callable[[Question, Callable[[], bool]], Reply | Awaitable[Reply]]


def connected(answers: Answers) -> tuple[Frames, Transport]:
    made, transport = Frames(set(), answers), Transport()
    made.switch(transport)  # type: ignore[arg-type]  # what of it is used
    return made, transport


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 20))


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_caller_that_does_not_read_is_answered_no_more_until_it_does() -> None:
    async def scenario() -> None:
        made, transport = connected(lambda *_: Answer(1, b"x"))
        made.pause_writing()
        made.data_received(frame(1, ASKED) * 5)
        await settled()
        assert (transport.replies(), transport.reading, made.idle) == (0, False, False)
        made.resume_writing()
        await settled()
        assert (transport.replies(), transport.reading, made.idle) == (5, True, True)

    run(scenario)


@pytest.mark.parametrize("same_number", [False, True])
def test_so_many_are_under_way_and_no_more(same_number: bool) -> None:
    """A caller may use one number twice; that is not a way round the bound."""

    async def scenario() -> None:
        begun, release = 0, asyncio.Event()

        async def later() -> Answer:
            await release.wait()
            return Answer(1, b"x")

        def answers(*_: object) -> Awaitable[Answer]:
            nonlocal begun
            begun += 1
            return later()

        made, transport = connected(answers)
        count = MAX_UNDER_WAY + 50
        numbers = [1 if same_number else n for n in range(count)]
        made.data_received(b"".join(frame(n, ASKED) for n in numbers))
        await settled()
        assert (begun, transport.reading) == (MAX_UNDER_WAY, False)
        release.set()
        while not made.idle:
            await asyncio.sleep(0)
        assert (begun, transport.replies(), transport.reading) == (count, count, True)

    run(scenario)


def test_one_connection_does_not_keep_the_loop_from_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service_frames, "TURN", 0.01)

    async def scenario() -> None:
        def slow(*_: object) -> Answer:
            time.sleep(0.002)
            return Answer(1, b"x")

        greedy, _ = connected(slow)
        modest, transport = connected(slow)
        greedy.data_received(frame(1, ASKED) * 500)
        modest.data_received(frame(1, ASKED))
        begun = time.monotonic()
        while not transport.replies():
            await asyncio.sleep(0)
        assert time.monotonic() - begun < 0.5
        assert not greedy.idle, "it would take a second"

    run(scenario)


def test_nothing_is_answered_when_the_caller_has_gone() -> None:
    async def scenario() -> None:
        asked: list[Question] = []

        def answers(one: Question, _: Callable[[], bool]) -> Answer:
            asked.append(one)
            return Answer(1, b"x")

        made, transport = connected(answers)
        made.pause_writing()
        made.data_received(frame(1, ASKED))
        made.connection_lost(None)
        made.resume_writing()
        await settled()
        assert (asked, made.is_gone(), transport.replies()) == ([], True, 0)

    run(scenario)

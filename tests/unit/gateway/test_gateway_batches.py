"""What waits for one pool goes together, and nobody suffers for whom it goes with."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from asgi_client import run

from app.errors import ProblemError
from app.gateway.batches import MAX_BYTES, MAX_ITEMS, Batches
from app.gateway.call import (
    Call,
    NobodyError,
    PoolsGoneError,
    RestartingError,
    UpstreamError,
)


class Pool:
    """Answers each question with itself; keeps what it was sent, and holds answers back."""

    def __init__(self, limit: int = 1) -> None:
        self.sent: list[tuple[str, list[str]]] = []
        self.calls: list[Call] = []
        self.go = asyncio.Event()
        self.fails: Callable[[list[str]], Exception | None] = lambda _: None
        self.batches: Batches[str, str, str] = Batches(self._send, lambda: limit)

    async def _send(self, key: str, asked: Sequence[str], call: Call) -> list[str]:
        self.sent.append((key, list(asked)))
        self.calls.append(call)
        await self.go.wait()
        error = self.fails(list(asked))
        if error is not None:
            raise error
        return [f"{key} {one}" for one in asked]

    def ask(self, *asked: str, key: str = "k", **more: Any) -> list[asyncio.Task[str]]:
        return [asyncio.create_task(self.one(one, key=key, **more)) for one in asked]

    async def one(
        self, asked: str, *, key: str = "k", items: int = 1, size: int = 0, seconds: float = 10
    ) -> str:
        call = Call(time.monotonic() + seconds, {"X-Request-ID": f"id-{asked}", "Own": "x"})
        return await self.batches.ask(key, asked, items, size, call)


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0)


def test_who_comes_alone_goes_at_once() -> None:
    async def case() -> None:
        pool = Pool()
        pool.go.set()
        assert await pool.one("a") == "k a"
        assert await pool.one("b") == "k b"
        assert pool.sent == [("k", ["a"]), ("k", ["b"])]
        assert pool.calls[0].headers == {"X-Request-ID": "id-a", "Own": "x"}

    run(case())


def test_what_comes_while_one_is_under_way_goes_together() -> None:
    async def case() -> None:
        pool = Pool()
        first = pool.ask("a")
        await until(lambda: bool(pool.sent))
        others = pool.ask("b", "c", "d")
        await asyncio.sleep(0.01)
        assert pool.sent == [("k", ["a"])]
        pool.go.set()
        assert await asyncio.gather(*first, *others) == ["k a", "k b", "k c", "k d"]
        assert pool.sent == [("k", ["a"]), ("k", ["b", "c", "d"])]
        assert pool.calls[1].headers == {"X-Request-ID": "id-b,id-c,id-d", "Own": "x"}

    run(case())


def test_as_many_are_under_way_as_there_are_replicas() -> None:
    async def case() -> None:
        pool = Pool(limit=2)
        tasks = []
        for one in ("a", "b", "c", "d"):
            tasks += pool.ask(one)
            await asyncio.sleep(0.005)
        assert pool.sent == [("k", ["a"]), ("k", ["b"])]
        pool.go.set()
        await asyncio.gather(*tasks)
        assert pool.sent[2:] == [("k", ["c", "d"])]

    run(case())


def test_only_what_is_alike_goes_together() -> None:
    async def case() -> None:
        pool = Pool()
        pool.go.set()
        tasks = [*pool.ask("a", "b", key="one"), *pool.ask("c", key="two"), *pool.ask("d")]
        await asyncio.gather(*tasks)
        assert pool.sent == [("one", ["a", "b"]), ("two", ["c"]), ("k", ["d"])]

    run(case())


@pytest.mark.parametrize(
    ("more", "fits"),
    [
        ({"items": 1}, MAX_ITEMS),
        ({"items": 5}, 3),
        ({"size": MAX_BYTES // 4}, 4),
        ({"items": 99}, 1),
    ],
)
def test_a_batch_has_its_bounds(more: dict[str, int], fits: int) -> None:
    async def case() -> None:
        pool = Pool()
        pool.go.set()
        names = [f"q{n}" for n in range(2 * fits)]
        await asyncio.gather(*pool.ask(*names, **more))
        assert [asked for _, asked in pool.sent] == [names[:fits], names[fits:]]

    run(case())


def test_a_refused_batch_is_asked_one_by_one() -> None:
    async def case() -> None:
        pool = Pool()
        pool.fails = lambda asked: UpstreamError("413") if "bad" in asked else None
        pool.go.set()
        found = await asyncio.gather(*pool.ask("a", "bad", "b"), return_exceptions=True)
        assert [found[0], found[2]] == ["k a", "k b"]
        assert isinstance(found[1], UpstreamError)
        assert [asked for _, asked in pool.sent] == [["a", "bad", "b"], ["a"], ["bad"], ["b"]]

    run(case())


@pytest.mark.parametrize(
    "error",
    [
        PoolsGoneError("nginx"),
        RestartingError("503"),
        NobodyError("504"),
        ProblemError(504, "deadline", "late"),
    ],
)
def test_where_nobody_could_be_answered_nobody_is_asked_again(error: Exception) -> None:
    async def case() -> None:
        pool = Pool()
        pool.fails = lambda _: error
        pool.go.set()
        found = await asyncio.gather(*pool.ask("a", "b"), return_exceptions=True)
        assert found == [error, error]
        assert len(pool.sent) == 1

    run(case())


def test_each_has_its_own_deadline() -> None:
    async def case() -> None:
        pool = Pool()
        [first] = pool.ask("a")
        await until(lambda: bool(pool.sent))
        [short] = pool.ask("b", seconds=0.05)
        [long] = pool.ask("c")
        with pytest.raises(ProblemError) as caught:
            await short
        assert (caught.value.status, caught.value.code) == (504, "deadline")
        pool.go.set()
        assert await asyncio.gather(first, long) == ["k a", "k c"]
        assert pool.sent[1:] == [("k", ["c"])], "who has given up is not asked for"

    run(case())


def test_who_is_gone_is_not_asked_for() -> None:
    async def case() -> None:
        pool = Pool()
        first = pool.ask("a")
        await until(lambda: bool(pool.sent))
        gone, there = pool.ask("b", "c")
        await asyncio.sleep(0.01)
        gone.cancel()
        pool.go.set()
        await asyncio.gather(*first, there)
        assert pool.sent[1:] == [("k", ["c"])]

    run(case())


def test_a_batch_may_take_as_long_as_the_last_of_it_may() -> None:
    async def case() -> None:
        pool = Pool()
        pool.go.set()
        await asyncio.gather(*pool.ask("a", seconds=5), *pool.ask("b", seconds=9))
        assert pool.calls[0].ends > time.monotonic() + 7

    run(case())


def test_an_unforeseen_error_reaches_who_waits() -> None:
    async def case() -> None:
        pool = Pool()
        pool.fails = lambda _: ZeroDivisionError()
        pool.go.set()
        found = await asyncio.gather(*pool.ask("a", "b"), return_exceptions=True)
        assert [type(one) for one in found] == [ZeroDivisionError] * 2
        pool.fails = lambda _: None
        assert await pool.one("c") == "k c"

    run(case())

"""The queue of the encoder: who shares a pass, who waits, who is not encoded."""

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from encoder_fakes import DIM, LONG, FakeEngine, vector_of
from numpy.typing import NDArray

from app.encoder.batcher import ENOUGH, Batcher
from app.errors import ProblemError
from app.generation.engines.base import Prepared


def there() -> None:
    """The caller still waits."""


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.001)


class Held:
    """A batcher, of one pass at a time, whose first pass is held until ``go``."""

    def __init__(self, waiting: int = 100, largest: int = 16, passes: int = 1) -> None:
        self.engine = FakeEngine("f")
        self.engine.largest = largest
        self.engine.go = threading.Event()
        self.batcher = Batcher(passes=passes, largest=largest, waiting=waiting)
        self.first = self.batcher.submit(self.engine, ["held"], "query", None, there)
        assert self.engine.started.wait(10)

    def go(self) -> None:
        assert self.engine.go is not None
        self.engine.go.set()

    def over(self) -> bool:
        return self.batcher.statistics()["pending"] == 0


def test_what_waits_is_encoded_together() -> None:
    held = Held()
    texts = ["aaaa", "bb", "cccc", "dddd", "ee"]
    futures = [held.batcher.submit(held.engine, [text], "query", None, there) for text in texts]
    held.go()
    for text, future in zip(texts, futures, strict=True):
        assert np.array_equal(future.result(10), [vector_of(text)])
    assert held.engine.passes == [1, 2, 3] or held.engine.passes == [1, 3, 2]
    assert held.over()


def test_a_pass_takes_no_more_than_the_engine() -> None:
    held = Held(largest=4)
    future = held.batcher.submit(held.engine, [f"{n}" for n in range(10)], "query", None, there)
    held.go()
    assert np.array_equal(future.result(10), [vector_of(f"{n}") for n in range(10)])
    assert held.engine.passes == [1, 4, 4, 2]


def test_a_pass_of_long_texts_has_as_many_as_the_engine_says() -> None:
    held, long = Held(), "x" * (LONG + 1)
    future = held.batcher.submit(held.engine, [long, long, "a", "b"], "query", None, there)
    held.go()
    assert np.array_equal(future.result(10), [vector_of(text) for text in (long, long, "a", "b")])
    assert sorted(held.engine.passes[1:]) == [1, 1, 2]


def test_an_engine_that_cannot_share_encodes_one_by_one() -> None:
    held = Held(largest=1)
    future = held.batcher.submit(held.engine, ["a", "b", "c"], "query", None, there)
    held.go()
    assert np.array_equal(future.result(10), [vector_of(text) for text in "abc"])
    assert held.engine.passes == [1] * 4


def test_another_pass_begins_beside_one_when_enough_wait() -> None:
    held, other = Held(passes=2), FakeEngine("g")
    few = [held.batcher.submit(other, ["few"], "query", None, there) for _ in range(ENOUGH - 1)]
    time.sleep(0.05)
    assert not other.passes, "they wait for the end of the first"
    enough = held.batcher.submit(other, ["now"], "query", None, there)
    enough.result(10)
    assert all(future.result(10).shape == (1, DIM) for future in few)
    assert other.passes == [ENOUGH]
    assert not held.first.done()
    held.go()
    until(held.over)


def test_an_engine_that_cannot_share_does_not_wait_for_others() -> None:
    held, other = Held(passes=2), FakeEngine("g")
    other.largest = 1
    held.batcher.submit(other, ["a"], "query", None, there).result(10)
    assert not held.first.done()
    held.go()
    until(held.over)


def test_a_long_request_does_not_hold_back_a_short_one() -> None:
    held = Held(largest=4)
    order: list[str] = []
    long = held.batcher.submit(held.engine, ["x"] * 40, "query", None, there)
    short = held.batcher.submit(held.engine, ["y"], "query", None, there)
    long.add_done_callback(lambda _: order.append("long"))
    short.add_done_callback(lambda _: order.append("short"))
    held.go()
    long.result(10)
    until(lambda: len(order) == 2)
    assert order == ["short", "long"]
    assert held.engine.encoded[:5].count("y") == 1, "in the first pass that it could be in"


def test_models_do_not_share_a_pass() -> None:
    held, other = Held(), FakeEngine("g")
    futures = [
        held.batcher.submit(engine, ["same"], "query", None, there)
        for engine in (held.engine, other, held.engine, other)
    ]
    held.go()
    for future in futures:
        future.result(10)
    assert (held.engine.passes, other.passes) == ([1, 2], [2])


def test_a_full_queue_refuses() -> None:
    held = Held(waiting=1, largest=1)
    held.batcher.submit(held.engine, ["a"], "query", None, there)
    with pytest.raises(ProblemError) as caught:
        held.batcher.submit(held.engine, ["b"], "query", None, there)
    assert (caught.value.status, caught.value.code) == (429, "overloaded")
    told = held.batcher.statistics()
    assert told == {"pending": 2, "limit": 2, "running": 1, "slots": 1, "refused": 1}
    held.go()
    until(held.over)


def test_who_waits_no_more_is_not_encoded() -> None:
    held = Held()
    late = held.batcher.submit(held.engine, ["late"], "query", None, there)
    assert late.cancel()
    assert held.batcher.statistics()["pending"] == 1, "only what is under way"
    held.go()
    until(held.over)
    assert "late" not in held.engine.encoded


def test_a_spent_deadline_is_not_encoded() -> None:
    held = Held()
    future = held.batcher.submit(held.engine, ["late"], "query", time.monotonic() + 0.02, there)
    time.sleep(0.05)
    held.go()
    with pytest.raises(ProblemError, match="time is up"):
        future.result(10)
    until(held.over)
    assert "late" not in held.engine.encoded


def test_who_has_gone_is_not_encoded_and_others_are() -> None:
    def gone() -> None:
        raise ProblemError(408, "caller_gone", "gone")

    held = Held()
    nobody = held.batcher.submit(held.engine, ["gone"], "query", None, gone)
    cancelled = held.batcher.submit(held.engine, ["left"], "query", None, there)
    waits = held.batcher.submit(held.engine, ["here"], "query", None, there)
    assert cancelled.cancel()
    held.go()
    assert np.array_equal(waits.result(10), [vector_of("here")])
    with pytest.raises(ProblemError, match="gone"):
        nobody.result(10)
    until(held.over)
    assert held.engine.encoded == ["held", "here"]


def test_a_text_that_fails_fails_its_caller_alone() -> None:
    class Picky(FakeEngine):
        def run(self, texts: Sequence[Prepared]) -> NDArray[np.float32]:
            if any(text.content[0] == "bad!" for text in texts):
                raise ValueError("boom")
            return super().run(texts)

    engine = Picky("f")
    batcher = Batcher(passes=1, largest=16, waiting=10)
    future = batcher.submit(engine, ["good", "fine"], "query", None, there)
    bad = batcher.submit(engine, ["bad!", "okay"], "query", None, there)
    assert np.array_equal(future.result(10), [vector_of("good"), vector_of("fine")])
    with pytest.raises(ValueError, match="boom"):
        bad.result(10)
    until(lambda: batcher.statistics()["pending"] == 0)


def test_many_callers_at_one_time_get_their_own_vectors() -> None:
    engine = FakeEngine("f")
    batcher = Batcher(passes=2, largest=16, waiting=1000)
    wrong: list[str] = []

    def ask(caller: int) -> None:
        for number in range(30):
            texts = [f"{caller} {number} {n}" for n in range(1 + number % 5)]
            found = batcher.submit(engine, texts, "query", None, there).result(10)
            if not np.array_equal(found, [vector_of(text) for text in texts]):
                wrong.append(f"{caller} {number}")

    threads = [threading.Thread(target=ask, args=(caller,)) for caller in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    until(lambda: batcher.statistics()["running"] == 0)
    assert batcher.statistics()["pending"] == 0
    assert sum(engine.passes) == 12 * 30 * 3

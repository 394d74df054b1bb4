"""A broken replica goes out, tries again by itself, and comes back."""

import time
from collections.abc import Callable

from app.service.breaker import IN_A_ROW, Breaker

QUICK = 0.02


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < ends
        time.sleep(QUICK / 4)


class Question:
    """Fails until it is told not to; counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.good = False

    def __call__(self) -> None:
        self.asked += 1
        if not self.good:
            raise OSError("the disk is gone")


def make(self_query: Callable[[], object] = lambda: None) -> Breaker:
    return Breaker(self_query, probe_seconds=QUICK, quiet_seconds=4 * QUICK)


def test_damage_refuses_until_what_failed_is_answered() -> None:
    breaker, question = make(), Question()
    breaker.damaged("the store cannot be read", question)
    assert breaker.refuses
    breaker.answered()
    until(lambda: question.asked > 2)
    assert (breaker.fault, breaker.refuses) == ("the store cannot be read", True)
    question.good = True
    until(lambda: not breaker.fault)
    assert not breaker.refuses


def test_damage_is_probed_once_however_many_notice_it() -> None:
    breaker, first, second = make(), Question(), Question()
    breaker.damaged("first", first)
    breaker.damaged("second", second)
    until(lambda: first.asked > 1)
    assert (breaker.fault, second.asked) == ("first", 0)


def test_an_unforeseen_error_now_and_then_is_no_fault() -> None:
    breaker = make()
    for _ in range(5):
        for _ in range(IN_A_ROW - 1):
            breaker.unforeseen("ValueError")
        breaker.answered()
    assert not breaker.fault


def test_unforeseen_errors_in_a_row_are_one_until_an_answer() -> None:
    breaker = make()
    for _ in range(IN_A_ROW):
        breaker.unforeseen("ValueError")
    assert "ValueError" in breaker.fault
    assert not breaker.refuses
    breaker.answered()
    assert not breaker.fault


def test_without_questions_the_self_query_decides_after_a_quiet_time() -> None:
    question = Question()
    breaker = make(question)
    for _ in range(IN_A_ROW):
        breaker.unforeseen("ValueError")
    for _ in range(8):
        time.sleep(QUICK)
        breaker.unforeseen("ValueError")
    assert question.asked == 0
    until(lambda: question.asked > 1)
    assert breaker.fault
    question.good = True
    until(lambda: not breaker.fault)


def test_damage_after_unforeseen_errors_refuses_until_it_is_mended() -> None:
    breaker, question = make(), Question()
    for _ in range(IN_A_ROW):
        breaker.unforeseen("ValueError")
    breaker.damaged("the store cannot be read", question)
    until(lambda: question.asked > 8)
    assert breaker.refuses
    question.good = True
    until(lambda: not breaker.fault)

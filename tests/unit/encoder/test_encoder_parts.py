import threading
import time

import pytest

from app.encoder.slots import Slots
from app.errors import ProblemError


def test_no_more_run_at_one_time_than_allowed() -> None:
    slots = Slots(concurrent=2, waiting=100)
    lock = threading.Lock()
    running = most = 0

    def work() -> None:
        nonlocal running, most
        with slots.admit(3) as turn:
            for _ in range(3):
                with turn(None):
                    with lock:
                        running += 1
                        most = max(most, running)
                    time.sleep(0.002)
                    with lock:
                        running -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2
    assert slots.statistics()["pending"] == 0


def test_a_failed_request_leaves_the_queue() -> None:
    slots = Slots(concurrent=1, waiting=1)
    with pytest.raises(ValueError, match="boom"), slots.admit(5) as turn, turn(None):
        raise ValueError("boom")
    assert slots.statistics()["pending"] == 0
    with slots.admit(1) as turn, turn(None):
        pass


def test_waiting_ends_with_the_deadline() -> None:
    slots = Slots(concurrent=1, waiting=5)
    with slots.admit(1) as turn, turn(None), slots.admit(1) as other:
        with pytest.raises(ProblemError) as caught, other(time.monotonic() + 0.02):
            pass
        assert caught.value.status == 504
    assert slots.statistics()["pending"] == 0

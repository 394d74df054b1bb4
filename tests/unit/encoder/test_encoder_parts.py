import threading
import time

import numpy as np
import pytest
from encoder_fakes import vector_of

from app.encoder.cache import MAX_CHARACTERS, VectorCache
from app.encoder.slots import Slots
from app.errors import ProblemError


def test_the_entry_longest_unused_makes_room() -> None:
    cache = VectorCache(2)
    cache.put("m", "a", vector_of("a"))
    cache.put("m", "b", vector_of("b"))
    assert cache.get("m", "a") is not None
    cache.put("m", "c", vector_of("c"))
    assert cache.get("m", "b") is None
    assert cache.get("m", "a") is not None
    assert cache.statistics()["entries"] == 2


def test_models_do_not_share_vectors() -> None:
    cache = VectorCache(2)
    cache.put("m", "a", vector_of("a"))
    assert cache.get("n", "a") is None


def test_the_cache_keeps_a_copy() -> None:
    cache = VectorCache(2)
    vector = vector_of("a")
    cache.put("m", "a", vector)
    vector[:] = 0
    cached = cache.get("m", "a")
    assert cached is not None
    assert np.array_equal(cached, vector_of("a"))


def test_long_texts_and_no_cache_are_not_kept() -> None:
    cache = VectorCache(2)
    cache.put("m", "a" * (MAX_CHARACTERS + 1), vector_of("a"))
    assert cache.statistics()["entries"] == 0
    nothing = VectorCache(0)
    nothing.put("m", "a", vector_of("a"))
    assert nothing.get("m", "a") is None


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

"""The encoder in front of every peer: askfleet's engine, one text at a time or what waits together.

txtai takes a function and nothing else, and imports it when it starts: ``encode``.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.generation.engine import open_engine

MODEL, BATCHING = "PEER_MODEL", "PEER_BATCHING"
MOST = 16
Encode = Callable[[Sequence[str]], NDArray[np.float32]]


class Batching:
    """Threads' texts, encoded together where several wait; alone when alone, and no timer.

    It is as good as the engine is with several texts: an engine that takes them one by one gains
    nothing.
    """

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._waiting: list[tuple[str, Future[NDArray[np.float32]]]] = []
        self._busy = False
        self._changed = threading.Condition()

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, one a row."""
        own: list[Future[NDArray[np.float32]]] = [Future() for _ in texts]
        with self._changed:
            self._waiting += zip(texts, own, strict=True)
            while not all(one.done() for one in own):
                if self._busy:
                    self._changed.wait()
                else:
                    self._pass()
        return np.stack([one.result() for one in own])

    def _pass(self) -> None:
        """Encode the first that wait; the lock is held but for the encoding itself."""
        batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        self._busy = True
        self._changed.release()
        try:
            for (_, one), vector in zip(batch, self._encode([t for t, _ in batch]), strict=True):
                one.set_result(vector)
        except Exception as error:  # whose question it was is not known
            for _, one in batch:
                one.set_exception(error)
        finally:
            self._changed.acquire()
            self._busy = False
            self._changed.notify_all()


@cache
def encoder() -> Encode:
    """The encoder that the environment asks for, opened."""
    encode: Encode = open_engine(Path(os.environ[MODEL])).encode
    return Batching(encode) if os.environ[BATCHING] == "1" else encode


def encode(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors, one a row."""
    return encoder()(texts)


if MODEL in os.environ:
    encoder()  # before the first question

"""Make something go wrong at the right moment of a play."""

import threading
from collections.abc import Callable
from pathlib import Path

from lab_hosts import root
from lab_plays import Running

Condition = Callable[[], bool]
TICK = 0.01


class Trigger(threading.Thread):
    """Acts once, as soon as a condition holds; a `with` around the play ends the waiting.

    Attributes:
        fired: whether it did.
    """

    def __init__(self, when: Condition, act: Callable[[], object]) -> None:
        super().__init__()
        self._when = when
        self._act = act
        self._over = threading.Event()
        self._error: Exception | None = None
        self.fired = False

    def __enter__(self) -> "Trigger":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
        if self._error is not None:
            raise self._error

    def run(self) -> None:
        while not self._over.is_set():
            if self._when():
                try:
                    self._act()
                except Exception as error:
                    self._error = error
                self.fired = True
                return
            self._over.wait(TICK)


def turn_of(running: Running, kind: str) -> Condition:
    """Condition: the first host of a kind (encoders, shards, gateways) is about to be switched."""
    switch = "Switch what is not yet as it should be"
    heading = f") Activate the {'model' if kind == 'encoders' else 'generation'} on the {kind}"
    return lambda: switch in running.output.partition(heading)[2]


def link_names(host: str, generation: str) -> Condition:
    """Condition: a shard host's link `current` points at a generation."""
    link = root(host) / "srv/askfleet/shard/current"
    return lambda: link.is_symlink() and link.readlink().name == generation


def flip_bit(file: Path) -> None:
    """Change one bit in the middle of a file; its size stays."""
    with file.open("r+b") as stream:
        stream.seek(file.stat().st_size // 2)
        byte = stream.read(1)[0]
        stream.seek(-1, 1)
        stream.write(bytes([byte ^ 1]))

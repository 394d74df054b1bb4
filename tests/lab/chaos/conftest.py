"""A load that asks more often than an update's does, and the line that a row prints."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from chaos_wait import until_well
from lab_fleet import Fleet
from lab_load import Load

PAUSE = 0.3  # seconds between two questions of a thread

Row = Callable[..., AbstractContextManager[Load]]


@pytest.fixture
def under_load(made_fleet: Fleet, tell: Callable[[object], None]) -> Row:
    """A context: load on a fleet that is well, which must be well again in the end, by itself."""

    @contextmanager
    def row(**how: int) -> Iterator[Load]:
        until_well()
        with made_fleet.load(made_fleet.now, pause=PAUSE, **how) as load:
            yield load
            back = until_well()
        tell(f"{load}, p99 {load.p99:.2f} s, normal {back:.1f} s after")
        load.check()

    return row

"""Where the heavy steps of a build run: here, or on Dask's workers.

A step is a function of its arguments alone, called many times; results do not depend on where. So
they are the same bit for bit wherever a build runs, and what is lost with a worker is done again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from index_builder.handed import Handed, handed

R = TypeVar("R")

# Up to so many documents a build is done before other processes would have started.
SMALL = 2_500


class Workers(Protocol):
    """What runs the steps."""

    elsewhere: bool
    """Whether steps run in other processes."""

    def each(
        self, work: Callable[..., R], calls: Iterable[tuple[Any, ...]], *, ahead: int = 2
    ) -> Iterator[tuple[int, R]]:
        """Call ``work`` with each of the arguments; number of the call and result, as they end.

        Args:
            work: a function of a module, or one that can be pickled; of its arguments alone.
            calls: arguments; they are taken as workers become free.
            ahead: calls under way for each worker.

        Raises: what ``work`` raises; BuildError when workers end again and again, or are gone.
        """
        ...

    def hand(self, vectors: NDArray[np.float32], rows: NDArray[np.int64] | slice) -> Handed:
        """Rows of a matrix as an argument of a call; ``handed.received`` takes them."""
        ...

    def model(self, directory: Path) -> Path:
        """Where workers find a model artefact: as an argument, for ``model_at``."""
        ...


@dataclass(frozen=True, slots=True)
class Remote:
    """A scheduler elsewhere, and the PEM files of TLS: authority, certificate and key."""

    address: str
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class Here:
    """This process, one call after another; matrix products in one thread, as workers have it."""

    elsewhere = False

    def each(
        self, work: Callable[..., R], calls: Iterable[tuple[Any, ...]], *, ahead: int = 2
    ) -> Iterator[tuple[int, R]]:
        """See ``Workers``."""
        del ahead
        threads = ThreadpoolController()
        for number, call in enumerate(calls):
            with threads.limit(limits=1, user_api="blas"):
                result = work(*call)
            yield number, result

    def hand(self, vectors: NDArray[np.float32], rows: NDArray[np.int64] | slice) -> Handed:
        """See ``Workers``."""
        return handed(vectors, rows, files=False)

    def model(self, directory: Path) -> Path:
        """See ``Workers``."""
        return directory.resolve()


HERE = Here()


@contextmanager
def open_workers(processes: int, remote: Remote | None = None) -> Iterator[Workers]:
    """This process for one, Dask for more; workers start with the first step.

    Raises: BuildError for a cluster without TLS.
    """
    if processes == 1 and remote is None:
        yield HERE
        return
    from index_builder.dask_workers import DaskWorkers  # a second and 60 MB: not for one process

    with DaskWorkers(processes, remote) as workers:
        yield workers

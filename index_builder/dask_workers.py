"""The steps of a build on Dask: on worker processes of this machine, or on a cluster of several."""

from __future__ import annotations

import logging
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, TypeVar

import dask
import numpy as np
from distributed import Client, Future, KilledWorker, LocalCluster, Security, wait
from numpy.typing import NDArray

from app.errors import BuildError
from index_builder.handed import Handed, handed
from index_builder.on_worker import Brought, Same, identity, place_of
from index_builder.workers import Remote

R = TypeVar("R")

# Seconds that a cluster may be without scheduler or workers before a build gives up, at its start
# and later: a machine that restarts is waited for.
AT_FIRST, LATER = 60.0, 300.0
LOOK = 5.0
AGAIN = "what is encoded is kept: run the same command again"
SETTINGS = {
    # A shard of another machine's is sent as it is.
    "distributed.admin.large-graph-warning-threshold": "10GB",
    # A worker that has died is started again, however long a busy machine takes.
    "distributed.deploy.lost-worker-timeout": "300s",
    # Nothing is served but work.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


class DaskWorkers:
    """Workers of Dask; a context manager. They start with the first step.

    Args:
        processes: of a cluster on this machine, one thread each.
        remote: another cluster instead.
    """

    elsewhere = True

    def __init__(self, processes: int, remote: Remote | None = None) -> None:
        dask.config.set(SETTINGS)
        self._processes, self._remote = processes, remote
        self._security = _security(remote) if remote else Security.temporary()
        self._local: LocalCluster | None = None
        self._client: Client | None = None
        self._greeted = False
        self._model: Path | None = None
        self._patience = AT_FIRST

    def __enter__(self) -> DaskWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, TimeoutError):  # a cluster that has gone is no fault of a build
            if self._client is not None:
                self._client.close()
        if self._local is not None:
            self._local.close()

    def each(
        self, work: Callable[..., R], calls: Iterable[tuple[Any, ...]], *, ahead: int = 2
    ) -> Iterator[tuple[int, R]]:
        """See ``workers.Workers``."""
        left = iter(enumerate(calls))
        lost: deque[tuple[int, tuple[Any, ...]]] = deque()
        under_way: dict[Future[R], tuple[int, tuple[Any, ...]]] = {}
        heard, client = time.monotonic(), None
        while True:
            client, before = self._connected(), client
            if client is not before:  # with the old one, all that it waited for is lost
                lost.extend(under_way.values())
                under_way.clear()
            threads = _threads(client)
            while len(under_way) < ahead * max(threads, 1):
                call = lost.popleft() if lost else next(left, None)
                if call is None:
                    break
                under_way[client.submit(work, *call[1], pure=False)] = call
            if not under_way:
                return
            with suppress(TimeoutError, CancelledError), client.as_current():
                wait(list(under_way), timeout=LOOK, return_when="FIRST_COMPLETED")
            for future in [one for one in under_way if one.status != "pending"]:
                call = under_way.pop(future)
                try:
                    result = future.result(timeout=LOOK)
                except TimeoutError:  # who had the result has died: it is computed again
                    under_way[future] = call
                    continue
                except CancelledError:  # lost with the scheduler, or with who had the result
                    lost.append(call)
                    self._greeted = False
                    continue
                except KilledWorker as error:
                    raise BuildError(
                        "worker processes died again and again at the same work (killed, or out "
                        f"of memory); {AGAIN}, with fewer --processes if memory is short"
                    ) from error
                heard = time.monotonic()
                yield call[0], result
            if threads:
                heard = time.monotonic()
            elif time.monotonic() - heard > self._patience:
                raise BuildError(f"no worker for {self._patience:.0f} s; {AGAIN}")

    def hand(self, vectors: NDArray[np.float32], rows: NDArray[np.int64] | slice) -> Handed:
        """See ``workers.Workers``."""
        return handed(vectors, rows, files=self._remote is None)

    def model(self, directory: Path) -> Path:
        """See ``workers.Workers``."""
        if self._remote is None:
            return directory.resolve()
        if directory != self._model:
            self._model, self._greeted = directory, False
        return place_of(directory)

    def _connected(self) -> Client:
        """A client of a cluster whose workers have what they need."""
        if self._client is None or not self._greeted or self._client.status != "running":
            self._client = self._here() if self._remote is None else self._there(self._remote)
            self._greeted, self._patience = True, LATER
        return self._client

    def _here(self) -> Client:
        """Workers that only this user can reach, and that end with this process."""
        if self._local is None:
            with _interrupt_held_back():
                self._local = LocalCluster(
                    n_workers=self._processes,
                    threads_per_worker=1,
                    memory_limit=None,
                    security=self._security,
                    scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                    silence_logs=logging.CRITICAL,
                )
                self._client = Client(self._local, security=self._security, set_as_default=False)
        return self._client or Client(self._local)

    def _there(self, remote: Remote) -> Client:
        """Raises BuildError where there is no scheduler or worker for long, or one that differs."""
        until = time.monotonic() + self._patience
        while True:
            try:
                client = self._client
                if client is None or client.status != "running":
                    if client is not None:
                        client.close()
                    client = self._client = Client(
                        remote.address, security=self._security, timeout=LOOK, set_as_default=False
                    )
                client.wait_for_workers(1, timeout=LOOK)
                client.register_plugin(Same(identity()))
                if self._model is not None:
                    client.register_plugin(Brought.read(self._model))
            except (OSError, TimeoutError) as error:
                if time.monotonic() > until:
                    raise BuildError(
                        f"--cluster {remote.address}: no scheduler with a worker answers: is "
                        f"askfleet-build-scheduler running? {AGAIN}"
                    ) from error
                time.sleep(1)
            else:
                return client


def _security(remote: Remote) -> Security:
    """Raises BuildError where strangers could give the workers something to run."""
    files = (remote.ca, remote.certificate, remote.key)
    if all(files):
        ca, certificate, key = map(str, files)
        return Security(
            tls_ca_file=ca, tls_client_cert=certificate, tls_client_key=key, require_encryption=True
        )
    if any(files):
        raise BuildError("--cluster-ca, --cluster-cert and --cluster-key go together")
    if not remote.address.startswith(("tcp://127.0.0.1:", "tcp://[::1]:", "tcp://localhost:")):
        raise BuildError(
            f"--cluster {remote.address}: without TLS a scheduler runs what anybody sends it: "
            "give --cluster-ca, --cluster-cert and --cluster-key"
        )
    return Security()


def _threads(client: Client) -> int:
    """How many calls the workers can run at once; none where the scheduler does not answer."""
    try:
        return sum(client.nthreads().values())
    except (OSError, TimeoutError):
        return 0


@contextmanager
def _interrupt_held_back() -> Iterator[None]:
    """Hold SIGINT back in this thread and, for good, in threads and processes that it starts.

    Ctrl-C goes to all processes of a terminal; a worker that is still importing would print a
    stack trace. Here the signal is delivered as soon as the block ends.
    """
    resource_tracker.ensure_running()  # it would let the signal through when a process starts it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

"""Worker processes that encode chunks of a corpus, each with its own engine and one thread."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np

from app.errors import EmbedError
from app.generation.engine import Engine
from index_builder.corpus.store import read_texts
from index_builder.vector_file import write_rows

EngineFactory: TypeAlias = Callable[[Path], Engine]

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True, slots=True)
class Task:
    """One chunk: documents with ordinals `start` to before `stop`."""

    chunk: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker has to know; it crosses a process boundary."""

    documents: Path
    vectors: Path
    model_dir: Path
    engine_factory: EngineFactory


def encode_here(job: Job, tasks: Sequence[Task], engine: Engine) -> Iterator[Task]:
    """Encode chunks in this process; each is yielded once its rows are written.

    Raises:
        EmbedError: The engine returned something else than unit vectors.
    """
    for task in tasks:
        _encode(job, task, engine)
        yield task


def encode_in_pool(job: Job, tasks: Sequence[Task], processes: int) -> Iterator[Task]:
    """The same in `processes` workers; chunks are yielded in the order they are finished.

    Workers ignore Ctrl-C, finish the chunk they are at, and end when this process does, however
    it ends.

    Raises:
        EmbedError: The engine returned something else than unit vectors.
        BrokenProcessPool: A worker died.
    """
    with _one_thread_each():
        pool = ProcessPoolExecutor(
            processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(job,),
        )
        try:
            yield from _keep_busy(pool, iter(tasks), 2 * processes)
        finally:
            pool.shutdown(cancel_futures=True)


def _keep_busy(pool: ProcessPoolExecutor, tasks: Iterator[Task], ahead: int) -> Iterator[Task]:
    running: set[Future[Task]] = set()
    while True:
        with _interrupt_held_back():  # what submit starts inherits this, see _start_worker
            running |= {pool.submit(_work, task) for task in islice(tasks, ahead - len(running))}
        if not running:
            return
        finished, running = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            yield future.result()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Have child processes start with one thread per library; numpy reads this at import."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _interrupt_held_back() -> Iterator[None]:
    """Hold SIGINT back in this thread and, for good, in processes that it starts meanwhile.

    Ctrl-C goes to all processes of a terminal; a worker that is still importing would print a
    stack trace. Here the signal is delivered as soon as the block ends.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_worker: tuple[Job, Engine] | None = None


def _start_worker(job: Job) -> None:
    global _worker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = job, job.engine_factory(job.model_dir)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(task: Task) -> Task:
    if _worker is None:
        raise EmbedError("a worker was given work before it was started")
    job, engine = _worker
    _encode(job, task, engine)
    return task


def _encode(job: Job, task: Task, engine: Engine) -> None:
    texts = read_texts(job.documents, task.start, task.stop)
    rows = np.asarray(engine.encode(texts, "document"))
    wanted = (task.stop - task.start, engine.dim)
    if rows.shape != wanted or rows.dtype != np.float32:
        raise EmbedError(
            f"documents {task.start}…{task.stop - 1}: the engine gave {rows.dtype} {rows.shape},"
            f" not float32 {wanted}"
        )
    lengths = np.linalg.norm(rows, axis=1)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))
    if wrong.size:
        raise EmbedError(
            f"document {task.start + wrong[0]} ({texts[wrong[0]][:60]!r}): its vector has length"
            f" {lengths[wrong[0]]:.3f}, not 1"
        )
    write_rows(job.vectors, task.start, rows)

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from corpus_fakes import (
    DIM,
    FakeEngine,
    corpus_of,
    open_dying,
    open_fake,
    vector_of,
)

from app.errors import BuildError, EmbedError
from index_builder import embed as embedding
from index_builder.corpus.store import read_texts
from index_builder.embed import embed
from index_builder.progress import Progress
from index_builder.vector_file import VectorFile
from index_builder.workers import open_workers

MAIN = Path(__file__).with_name("corpus_fakes.py")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(embedding, "CHUNK", 10)


@pytest.fixture
def progress():
    return Progress(stream=io.StringIO())


def encoded(workdir):
    """Texts that engines have been given so far, in all processes."""
    log = workdir / "encoded.log"
    return log.read_text().splitlines() if log.exists() else []


def expected(ingested):
    return np.stack([vector_of(text) for text in read_texts(ingested.documents)])


@pytest.mark.parametrize("processes", [1, 2])
def test_row_i_is_the_vector_of_document_i(tmp_path, progress, processes):
    ingested = corpus_of(tmp_path, 95)
    with open_workers(processes) as workers:
        vectors = embed(
            ingested,
            tmp_path,
            tmp_path,
            workers=workers,
            progress=progress,
            engine_factory=open_fake,
        )
    assert vectors.dtype == np.float32
    assert np.array_equal(vectors, expected(ingested))
    assert sorted(encoded(tmp_path)) == read_texts(ingested.documents)
    assert not vectors.flags.writeable


def test_what_is_complete_is_not_encoded_again(tmp_path, progress):
    ingested = corpus_of(tmp_path, 25)
    for _ in range(2):
        embed(ingested, tmp_path, tmp_path, progress=progress, engine_factory=open_fake)
    assert len(encoded(tmp_path)) == 25
    assert "all 25 documents are encoded already" in progress.stream.getvalue()


def test_another_corpus_or_model_does_not_meet_these_vectors(tmp_path, progress):
    def other_model(directory):
        engine = FakeEngine(directory)
        engine.fingerprint = "other"
        return engine

    for count, factory in ((20, open_fake), (30, open_fake), (20, other_model)):
        ingested = corpus_of(tmp_path / str(count), count)
        vectors = embed(ingested, tmp_path, tmp_path, progress=progress, engine_factory=factory)
        assert vectors.shape == (count, DIM)
    assert len(encoded(tmp_path)) == 70


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_and_the_next_run_goes_on(tmp_path, progress, processes):
    started = subprocess.Popen(
        [sys.executable, str(MAIN), str(tmp_path), "400", str(processes)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    lines = []
    for line in started.stderr:
        lines.append(line)
        if line.startswith("encoding: 30 of"):
            os.killpg(started.pid, signal.SIGINT)  # as a terminal does: to workers too
            break
    lines += started.stderr.readlines()
    started.wait()
    said = next(line for line in lines if line.startswith("interrupted: "))
    assert "of 400 documents are encoded and kept; the same command resumes there" in said
    assert "".join(lines).count("Traceback") == 1  # the command's own, from KeyboardInterrupt
    kept = int(said.split()[1])
    assert 30 <= kept < 400
    before = len(encoded(tmp_path))
    ingested = corpus_of(tmp_path, 400)
    vectors = embed(ingested, tmp_path, tmp_path, progress=progress, engine_factory=open_fake)
    assert f"encoding: resuming at {kept} of 400" in progress.stream.getvalue()
    assert len(encoded(tmp_path)) - before == 400 - kept
    assert np.array_equal(vectors, expected(ingested))


@pytest.mark.slow
def test_a_killed_build_leaves_no_worker_behind_and_can_be_resumed(tmp_path, progress):
    started = subprocess.Popen(
        [sys.executable, str(MAIN), str(tmp_path), "400", "2"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for line in started.stderr:
        if line.startswith("encoding: 30 of"):
            started.kill()
            break
    started.stderr.read()  # ends when the last worker, which holds the pipe too, has ended
    started.wait()
    ingested = corpus_of(tmp_path, 400)
    vectors = embed(ingested, tmp_path, tmp_path, progress=progress, engine_factory=open_fake)
    assert np.array_equal(vectors, expected(ingested))


def test_a_dying_worker_is_a_clear_error_and_loses_nothing(tmp_path, progress):
    ingested = corpus_of(tmp_path, 400)
    with (
        open_workers(2) as workers,
        pytest.raises(BuildError, match=r"worker processes died again .* encoded is kept"),
    ):
        embed(
            ingested,
            tmp_path,
            tmp_path,
            workers=workers,
            progress=progress,
            engine_factory=open_dying,
        )
    # The document at fault is one of `question 030x`: nothing before 300 has been lost.
    embed(ingested, tmp_path, tmp_path, progress=progress, engine_factory=open_fake)
    assert "encoding: resuming at " in progress.stream.getvalue()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:, :-1], "not float32"),
        (lambda rows: rows.astype(np.float64), "not float32"),
        (lambda rows: rows * 2, r"document 0 \('question 0000'\): its vector has length 2.000"),
        (lambda rows: rows * np.float32("nan"), "length nan"),
    ],
)
def test_an_engine_that_gives_no_unit_vectors_is_found_out(tmp_path, progress, change, message):
    class Wrong(FakeEngine):
        def encode(self, texts, side="query"):
            return change(super().encode(texts, side))

    with pytest.raises(EmbedError, match=message):
        embed(corpus_of(tmp_path, 5), tmp_path, tmp_path, progress=progress, engine_factory=Wrong)


def test_one_build_at_a_time_encodes_into_a_directory(tmp_path):
    second = VectorFile(tmp_path, count=5, dim=2, chunk=2)
    with (
        VectorFile(tmp_path, count=5, dim=2, chunk=2),
        pytest.raises(EmbedError, match="another build is encoding here"),
    ):
        second.__enter__()
    with VectorFile(tmp_path, count=5, dim=2, chunk=2) as again:
        assert again.missing == [0, 1, 2]


@pytest.mark.parametrize("damage", ["vectors.f32", "done", "state.json"])
def test_a_damaged_state_is_started_afresh(tmp_path, damage):
    with VectorFile(tmp_path, count=5, dim=2, chunk=2) as vectors:
        vectors.mark(1)
        assert vectors.rows_done == 2
    with VectorFile(tmp_path, count=5, dim=2, chunk=2) as vectors:
        assert vectors.missing == [0, 2]
    (tmp_path / damage).write_bytes(b"{")
    with VectorFile(tmp_path, count=5, dim=2, chunk=2) as vectors:
        assert vectors.missing == [0, 1, 2]


def test_a_full_disk_is_an_error_before_the_work(tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(EmbedError, match=r"needs 4\.0 GB of disk: No space left"):
        VectorFile(tmp_path, count=10**9, dim=1, chunk=10**9).__enter__()

"""Where a build runs changes nothing of what it makes, and a worker that dies costs nothing."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from encoder_fakes import FakeEngine, make_artefact
from small_generations import documents_of, silent
from worker_fakes import LoopbackCluster, open_dying_once, open_fake, slow_square

from app.errors import BuildError
from app.generation.manifest import Manifest
from index_builder import cluster, embed, encoded, pipeline
from index_builder.corpus.ingest import ingest_documents
from index_builder.dask_workers import DaskWorkers
from index_builder.handed import InFile, copied, handed, received
from index_builder.inputs import Inputs
from index_builder.settings import Settings
from index_builder.workers import HERE, Remote, Workers, open_workers

TEXTS = tuple(f"question number {number}" for number in range(900))
SETTINGS = Settings(shards=3, index="PQ4x4fs,Refine(SQfp16)", sample=100)

Build = Callable[..., Manifest]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Build the same corpus in a directory of its own, in many blocks."""
    monkeypatch.setattr(pipeline, "SMALL", 0)
    monkeypatch.setattr(embed, "CHUNK", 50)
    monkeypatch.setattr(cluster, "CHUNK", 128)

    def built(
        name: str, workers: Workers, factory: Callable[[Path], FakeEngine] = open_fake
    ) -> Manifest:
        root = tmp_path / name
        monkeypatch.setattr(encoded, "embed", partial(embed.embed, engine_factory=factory))
        corpus = ingest_documents(documents_of(TEXTS), root / "corpus")
        artefact = make_artefact(root / "models", b"small")
        manifest, new = pipeline.build(
            Inputs(corpus, artefact), SETTINGS, root / "out", root / "work", workers, silent()
        )
        assert new
        return manifest

    return built


@pytest.mark.slow
def test_one_process_and_four_workers_make_the_same(build: Build) -> None:
    here = build("here", HERE)
    with open_workers(4) as workers:
        assert build("local", workers).content_hash == here.content_hash


@pytest.mark.slow
def test_workers_of_other_directories_make_the_same(build: Build, tmp_path: Path) -> None:
    here = build("here", HERE)
    with LoopbackCluster(tmp_path) as there, open_workers(1, there.remote) as workers:
        assert build("there", workers).content_hash == here.content_hash
    assert not list((tmp_path / "one").glob("**/vectors.f32"))


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_nothing(build: Build, tmp_path: Path) -> None:
    here = build("here", HERE)
    with open_workers(2) as workers:
        made = build("killed", workers, open_dying_once)
    assert (tmp_path / "killed/models/died").exists()
    assert made.content_hash == here.content_hash


@pytest.mark.slow
def test_a_cluster_that_starts_again_is_waited_for(tmp_path: Path) -> None:
    with LoopbackCluster(tmp_path) as there, open_workers(1, there.remote) as workers:
        results = workers.each(slow_square, ((number,) for number in range(12)))
        found = dict([next(results)])
        there.kill()
        there.start()
        found |= dict(results)
    assert found == {number: number * number for number in range(12)}


def test_an_error_of_a_step_is_that_of_the_build() -> None:
    with pytest.raises(BuildError, match="length"):
        list(HERE.each(_refuse, [(1,)]))


def _refuse(_: int) -> None:
    raise BuildError("length")


@pytest.mark.parametrize(
    ("remote", "message"),
    [
        (Remote("tcp://build-1:8786"), "without TLS"),
        (Remote("tls://build-1:8786"), "without TLS"),
        (Remote("tls://build-1:8786", ca=Path("ca.pem")), "go together"),
    ],
    ids=str,
)
def test_a_cluster_that_strangers_could_use_is_refused(remote: Remote, message: str) -> None:
    with pytest.raises(BuildError, match=message), open_workers(1, remote):
        pass


def test_one_process_starts_no_others() -> None:
    with open_workers(1) as workers:
        assert workers is HERE


def test_workers_start_with_the_first_step() -> None:
    workers = DaskWorkers(2)
    with workers:
        assert workers._local is None


def test_rows_of_a_file_are_handed_by_its_name(tmp_path: Path) -> None:
    whole = np.arange(600, dtype=np.float32).reshape(200, 3)
    np.save(tmp_path / "with a head.npy", whole)
    vectors = np.load(tmp_path / "with a head.npy", mmap_mode="r")
    for rows in (slice(7, 50), np.array([3, 199, 4])):
        block = handed(vectors, rows, files=True)
        assert isinstance(block, InFile)
        assert np.array_equal(received(block), whole[rows])
        assert np.array_equal(copied(vectors, rows), whole[rows])
        assert isinstance(handed(vectors, rows, files=False), np.ndarray)
    # A part of a map, and what is in memory, have no file of their own.
    assert isinstance(handed(vectors[5:], slice(0, 2), files=True), np.ndarray)
    assert isinstance(handed(whole, slice(0, 2), files=True), np.ndarray)
    assert isinstance(handed(vectors[np.array([1, 2])], slice(0, 2), files=True), np.ndarray)

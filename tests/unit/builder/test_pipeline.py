"""Builds end to end: what a sealed generation always is, and that nothing half-made shows."""

import json
from functools import partial
from pathlib import Path

import faiss
import numpy as np
import pytest
from canary_answers import canary_difference
from encoder_fakes import DIM, FakeEngine, make_artefact, vector_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_generations import (
    TEXTS,
    SmallGeneration,
    build_small,
    documents_of,
    silent,
    vectors_of,
)

from app.errors import BuildError, GenerationError
from app.generation import canary
from app.generation.manifest import Manifest
from app.generation.model import Model
from app.generation.routing import Router
from app.generation.rows import everything
from app.generation.shard_index import Hits, ShardIndex
from app.generation.shard_part import open_store
from index_builder import encoded as encoding
from index_builder import pipeline, shard_files
from index_builder.corpus.ingest import ingest_documents
from index_builder.embed import embed
from index_builder.inputs import Inputs
from index_builder.replay import Replay
from index_builder.seal import existing
from index_builder.settings import Settings, check_settings
from index_builder.workers import HERE


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> SmallGeneration:
    return build_small(tmp_path_factory.mktemp("built"))


def held_by(generation: SmallGeneration) -> list[set[int]]:
    """Per shard the ordinals that it holds."""
    held = []
    for shard in range(len(generation.manifest.shards)):
        store = open_store(generation.directory, generation.manifest, shard)
        held.append({row.ordinal for row in everything(store)})
    return held


def exact(vectors: NDArray[np.float32]) -> ShardIndex:
    index = faiss.IndexFlatIP(DIM)
    index.add(vectors)
    return ShardIndex(index)


def check_whole(generation: SmallGeneration) -> None:
    """Every document is somewhere, none twice in a shard, no cluster is empty or shared."""
    manifest, held = generation.manifest, held_by(generation)
    count = len(generation.documents)
    assert set().union(*held) == set(range(count))
    assert [len(own) for own in held] == [shard.documents for shard in manifest.shards]
    assert manifest.documents == count
    router = Router.load(generation.directory, manifest)
    assert sorted(c for shard in manifest.shards for c in shard.clusters) == list(
        range(manifest.clusters)
    )
    # Each document is where its own cluster is, whichever of equally near ones that is.
    scores = generation.vectors @ router.centroids.T
    for ordinal, row in enumerate(scores):
        near = np.flatnonzero(row >= row.max() - 1e-5)
        assert any(ordinal in held[router.cluster_shard[cluster]] for cluster in near)
    assert all(shard.clusters for shard in manifest.shards)


def check_exact(generation: SmallGeneration, queries: NDArray[np.float32], k: int) -> None:
    """With every shard asked, ids and scores are those of exact search on one machine."""
    answers = Replay(generation.directory).search(queries, k, "all")
    # The whole ranking, so that no tie is cut by the reference itself.
    ranking = exact(generation.vectors).search(queries, len(generation.vectors))
    truth = Hits(ranking.rows[:, :k], ranking.scores[:, :k])
    for hits, rows, scores in zip(answers.hits, truth.rows, truth.scores, strict=True):
        assert [hit.row.id for hit in hits] == [generation.documents[row].id for row in rows]
        assert [hit.score for hit in hits] == scores.tolist()
        assert [hit.row.ordinal for hit in hits] == rows.tolist()
    best = np.sort((queries.astype(np.float64) @ generation.vectors.T.astype(np.float64)), axis=1)
    assert np.allclose(truth.scores, best[:, ::-1][:, : truth.scores.shape[1]], atol=1e-5)


def test_a_build_holds_every_document(built: SmallGeneration) -> None:
    check_whole(built)
    assert built.manifest.stored > built.manifest.documents, "no border copies to speak of"
    assert built.manifest.stored <= 1.25 * built.manifest.documents


def test_documents_are_written_whole(built: SmallGeneration) -> None:
    for row in everything(open_store(built.directory, built.manifest, 0)):
        source = built.documents[row.ordinal]
        assert (row.id, row.text, row.answer) == (source.id, source.text, source.answer)
        assert json.loads(bytes(row.metadata)) == source.metadata


def test_all_probes_together_are_exact_search(built: SmallGeneration) -> None:
    strangers = vectors_of([f"stranger {number}" for number in range(20)])
    for k in (1, 10, 100):
        check_exact(built, np.concatenate([built.vectors[:20], strangers]), k)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32 - 1),
    kinds=st.integers(12, 60),
    repeats=st.integers(0, 40),
    shards=st.integers(1, 4),
    storage=st.sampled_from([1.0, 1.25, 2.0]),
    k=st.integers(1, 30),
)
@pytest.mark.slow
def test_all_probes_are_exact_search_whatever_the_corpus(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    kinds: int,
    repeats: int,
    shards: int,
    storage: float,
    k: int,
) -> None:
    """Random corpora in which many vectors repeat, so that scores tie within and across shards."""
    rng = np.random.default_rng(seed)
    some = rng.normal(size=(kinds, DIM)).astype(np.float32)
    some /= np.linalg.norm(some, axis=1, keepdims=True)
    kind = np.concatenate([np.arange(kinds), rng.integers(0, max(kinds // 6, 1), repeats)])
    vectors = np.ascontiguousarray(some[rng.permutation(kind)])
    generation = build_small(
        tmp_path_factory.mktemp("any"),
        [f"text {number}" for number in range(len(vectors))],
        vectors=vectors,
        shards=shards,
        storage=storage,
        sample=20,
    )
    check_whole(generation)
    queries = np.concatenate([vectors[:4], some[:2], vectors_of(["a", "b"])])
    check_exact(generation, np.ascontiguousarray(queries), k)


def test_the_same_inputs_are_found_and_not_built_again(tmp_path: Path) -> None:
    first = build_small(tmp_path)
    again = build_small(tmp_path, artefact=first.artefact)
    assert first.new
    assert not again.new
    assert again.manifest == first.manifest
    assert [path.name for path in (tmp_path / "generations").iterdir()] == [first.manifest.id]


def test_what_is_damaged_or_not_in_its_place_is_not_found(tmp_path: Path) -> None:
    """So that building again is a remedy for it."""
    built = build_small(tmp_path)
    out, wanted = tmp_path / "generations", built.manifest.inputs_hash
    assert existing(out, wanted) == built.manifest
    fetched = built.directory.rename(out / f".fetching-{built.manifest.id}")
    assert existing(out, wanted) is None
    fetched.rename(built.directory)
    file = built.directory / "shard-001/index.faiss"
    file.write_bytes(file.read_bytes()[::-1])
    assert existing(out, wanted) is None


def test_the_same_inputs_elsewhere_give_the_same_content(
    built: SmallGeneration, tmp_path: Path
) -> None:
    other = build_small(tmp_path, artefact=built.artefact)
    assert other.new
    assert other.manifest.content_hash == built.manifest.content_hash
    assert other.manifest.files == built.manifest.files


@pytest.mark.parametrize(
    "change", [{"shards": 2}, {"seed": 2}, {"storage": 1.1}, {"texts": TEXTS[:-1]}], ids=str
)
def test_other_inputs_are_another_generation(
    built: SmallGeneration, tmp_path: Path, change: dict[str, object]
) -> None:
    other = build_small(tmp_path, **{"artefact": built.artefact, **change})  # type: ignore[arg-type]  # one of several
    assert other.manifest.inputs_hash != built.manifest.inputs_hash
    assert other.manifest.content_hash != built.manifest.content_hash


def test_the_manifest_describes_what_was_chosen(built: SmallGeneration) -> None:
    manifest = built.manifest
    model = Model.load(built.artefact)
    assert (manifest.model.fingerprint, manifest.model.dim) == (model.fingerprint, DIM)
    assert manifest.routing.threshold in {row.threshold for row in manifest.routing.table}
    assert all(shard.exact and shard.index_kind == "Flat" for shard in manifest.shards)
    wide = manifest.routing.table[-1]
    assert (wide.recall_at_1, wide.recall_at_10) == (1.0, 1.0)
    fans = [row.fan_out for row in manifest.routing.table]
    assert fans == sorted(fans)
    assert min(fans) >= 1


def test_canaries_are_what_the_fleet_answers(built: SmallGeneration) -> None:
    canaries = canary.read(built.directory / canary.NAME)
    assert len(canaries) == built.manifest.canaries == 32
    for one in canaries:
        assert canary_difference(Replay(built.directory), one, vector_of(one.question)) is None


def test_given_clusters_are_kept_even_when_there_are_more_than_shards(tmp_path: Path) -> None:
    labels = np.arange(len(TEXTS), dtype=np.int32) % 7
    generation = build_small(tmp_path, labels=labels, storage=1.0)
    assert generation.manifest.clusters == 7
    owner = Router.load(generation.directory, generation.manifest).cluster_shard
    for shard, held in enumerate(held_by(generation)):
        assert {int(owner[labels[ordinal]]) for ordinal in held} == {shard}


class Interrupted(BaseException):
    """As Ctrl-C is: no Exception."""


def interrupt(*_: object, **__: object) -> None:
    raise Interrupted


@pytest.mark.parametrize("step", ["write_shards", "make_canaries", "seal"])
def test_an_interrupted_build_leaves_work_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    artefact = make_artefact(tmp_path / "models", b"one")
    engine = FakeEngine(Model.load(artefact).fingerprint)
    monkeypatch.setattr(encoding, "embed", partial(embed, engine_factory=lambda _: engine))
    corpus = ingest_documents(documents_of(TEXTS), tmp_path / "corpus")
    out, work = tmp_path / "out", tmp_path / "work"

    def build() -> tuple[Manifest, bool]:
        settings = Settings(shards=3, index="exact")
        return pipeline.build(Inputs(corpus, artefact), settings, out, work, HERE, silent())

    with monkeypatch.context() as broken:
        broken.setattr(pipeline, step, interrupt)
        with pytest.raises(Interrupted):
            build()
    assert list(out.iterdir()) == []
    assert len(engine.encoded) == len(TEXTS)

    manifest, new = build()
    assert new
    assert [path.name for path in out.iterdir()] == [manifest.id]
    assert len(engine.encoded) == len(TEXTS), "what was encoded is not encoded again"
    whole = build_small(tmp_path / "straight", artefact=artefact, sample=2000)
    assert whole.manifest.content_hash == manifest.content_hash


def test_the_same_vectors_by_another_model_are_another_generation(tmp_path: Path) -> None:
    """No file of a generation holds the model, so two builds in one second had one id."""
    one = build_small(tmp_path / "one")
    other = build_small(tmp_path / "two", artefact=make_artefact(tmp_path / "models", b"other"))
    assert one.manifest.files == other.manifest.files
    assert one.manifest.content_hash != other.manifest.content_hash


def test_a_part_that_cannot_be_opened_is_never_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(path: Path, _: object) -> None:
        path.write_bytes(b"")

    monkeypatch.setattr(shard_files.documents, "write", torn)
    with pytest.raises(GenerationError, match=r"documents\.bin"):
        build_small(tmp_path)
    assert list((tmp_path / "generations").iterdir()) == []


def test_an_unknown_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="--index 'Magic9': use auto, lean, exact, or Flat, PQ"):
        build_small(tmp_path, index="Magic9")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(0), "--shards 0: use 1 to 1000"),
        (Settings(1001), "--shards 1001"),
        (Settings(1, storage=0.9), "--storage 0.9"),
        (Settings(1, storage=3.1), "--storage 3.1"),
        (Settings(1, recall_at_1=1.1), "--recall-at-1 1.1"),
        (Settings(1, recall_at_10=0.4), "--recall-at-10 0.4"),
        (Settings(1, sample=0), "--sample 0"),
    ],
)
def test_a_setting_out_of_range_is_named(settings: Settings, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        check_settings(settings)
    check_settings(Settings(1))

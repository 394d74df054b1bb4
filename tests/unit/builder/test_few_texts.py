"""Corpora of few distinct texts: fewer than shards, or thousands of repeats."""

from pathlib import Path

import numpy as np
import pytest
from canary_answers import canary_difference
from encoder_fakes import DIM, vector_of
from small_generations import SmallGeneration, build_small, documents_of, vectors_of

from app.errors import BuildError, GenerationError
from app.generation import canary
from app.generation.manifest import Manifest
from app.generation.rows import everything
from app.generation.shard_part import ShardPart, open_store
from index_builder import index_kind
from index_builder.index_kind import check_kind, choose_kind, training
from index_builder.replay import Replay
from index_builder.shards import build_index

PQ = f"PQ{DIM // 4}x4fs,Refine(SQfp16)"


def repeated(texts: int, times: int) -> list[str]:
    return [f"text {number % texts}" for number in range(texts * times)]


def texts_of(generation: SmallGeneration, shard: int) -> list[str]:
    store = open_store(generation.directory, generation.manifest, shard)
    return [row.text for row in everything(store)]


def check_answers(generation: SmallGeneration) -> None:
    """Every document finds its own text first, with any probe, and the canaries hold."""
    generation.manifest.verify(
        generation.directory, range(len(generation.manifest.shards)), routing=True
    )
    replay = Replay(generation.directory)
    asked = vectors_of(sorted({document.text for document in generation.documents}))
    for probe in ("auto", "all", 1):
        for hits in replay.search(asked, 5, probe).hits:
            assert hits[0].score == pytest.approx(1.0, abs=1e-3)
    for one in canary.read(generation.directory / canary.NAME):
        assert canary_difference(replay, one, vector_of(one.question)) is None


@pytest.mark.parametrize("shards", [4, 16])
@pytest.mark.parametrize("texts", [1, 2, 3])
@pytest.mark.parametrize("times", [1, 40])
@pytest.mark.slow
def test_fewer_texts_than_shards(tmp_path: Path, shards: int, texts: int, times: int) -> None:
    generation = build_small(tmp_path, repeated(texts, times), shards=shards, index="auto")
    manifest = generation.manifest
    assert [bool(shard.clusters) for shard in manifest.shards].count(True) == min(texts, shards)
    for info in manifest.shards:
        part = ShardPart.open(generation.directory, info.shard, verify=True)
        part.self_query()
        assert part.count == info.documents
        if not info.clusters:
            assert (info.documents, info.index_kind, info.recall) == (0, "Flat", 1.0)
            assert part.search(vectors_of(["a", "b"]), 3) == [([], [], [])] * 2
    check_answers(generation)
    if times == 1:
        table = manifest.routing.table[-1]
        assert (table.recall_at_1, table.recall_at_10) == (1.0, 1.0)


@pytest.mark.slow
def test_the_kind_follows_each_shards_own_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One text 8,200 times and ten others: the mean is over the limit, three shards are not."""
    texts = ["I forgot my password"] * 8200 + [f"question {number}" for number in range(10)]
    generation = build_small(tmp_path, texts, shards=4, index="auto", sample=20)
    assert [shard.index_kind for shard in generation.manifest.shards] == ["SQfp16"] * 4
    check_answers(generation)

    monkeypatch.setattr(index_kind, "FLAT_LIMIT", 100)
    skewed = repeated(1, 200) + [f"question {number}" for number in range(500)]
    mixed = build_small(tmp_path / "mixed", skewed, shards=4, index="auto", storage=1.25, sample=20)
    for shard in mixed.manifest.shards:
        own = np.concatenate([vectors_of([text]) for text in texts_of(mixed, shard.shard)])
        assert shard.index_kind == choose_kind(own, "auto")
    assert len({shard.index_kind for shard in mixed.manifest.shards}) == 2
    check_answers(mixed)


def test_a_base_with_empty_shards_is_built_on(tmp_path: Path) -> None:
    first = build_small(tmp_path / "first", repeated(2, 20), shards=4, index="auto")
    texts = [*repeated(2, 20), "text 1", "text 0"]
    after = build_small(
        tmp_path / "after",
        documents=documents_of(texts),
        artefact=first.artefact,
        base=first.directory,
        shards=4,
        index="auto",
    )
    assert [bool(shard.documents) for shard in after.manifest.shards] == [True, True, False, False]
    check_answers(after)


def test_a_shard_that_outgrows_its_kind_gets_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_kind, "FLAT_LIMIT", 60)
    many = [f"question {number}" for number in range(400)]
    small = build_small(tmp_path / "one", many[:120], shards=3, index="auto", storage=1.25)
    assert {shard.index_kind for shard in small.manifest.shards} == {"SQfp16"}
    options = {"artefact": small.artefact, "base": small.directory, "shards": 3}
    grown = build_small(tmp_path / "two", many, **options, index="auto")
    assert {shard.index_kind for shard in grown.manifest.shards} == {PQ}
    shrunk = build_small(
        tmp_path / "three", many[:120], artefact=small.artefact, base=grown.directory, index="auto"
    )
    assert {shard.index_kind for shard in shrunk.manifest.shards} == {"SQfp16"}
    check_answers(grown)


def test_what_an_older_builder_chose_stays_until_it_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the first update after a new release would send every vector again."""
    monkeypatch.setattr(index_kind, "FLAT_LIMIT", 60)
    many = [f"question {number}" for number in range(400)]
    older = PQ.replace("Refine(SQfp16)", "RFlat")
    first = build_small(tmp_path / "one", many, shards=2, index=older)
    options = {"artefact": first.artefact, "shards": 2}
    after = build_small(tmp_path / "two", many[:390], base=first.directory, index="auto", **options)
    assert {shard.index_kind for shard in after.manifest.shards} == {older}
    lean = build_small(tmp_path / "three", many, base=first.directory, index="lean", **options)
    assert {shard.index_kind for shard in lean.manifest.shards} == {PQ.replace("SQfp16", "SQ8")}
    small = build_small(tmp_path / "four", many[:60], base=first.directory, index="auto", **options)
    assert {shard.index_kind for shard in small.manifest.shards} == {"SQfp16"}


def test_a_kind_that_was_chosen_stays_with_a_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_kind, "FLAT_LIMIT", 60)
    many = [f"question {number}" for number in range(400)]
    first = build_small(tmp_path / "one", many, shards=2, index="exact")
    after = build_small(
        tmp_path / "two", many, artefact=first.artefact, base=first.directory, shards=2,
        index="auto",
    )  # fmt: skip
    assert {shard.index_kind for shard in after.manifest.shards} == {"Flat"}


@pytest.mark.parametrize(
    "kind", ["IVF16,Flat", "PQ8", "PQ4x4fs,RFlat", "PQ4x4fs,Refine(SQ8)", "HNSW8", "SQ8", "SQfp16"]
)
@pytest.mark.parametrize("texts", [1, 20, 300])
@pytest.mark.slow
def test_any_kind_over_any_shard(tmp_path: Path, kind: str, texts: int) -> None:
    generation = build_small(
        tmp_path, [f"question {number}" for number in range(texts)], shards=2, index=kind
    )
    for info in generation.manifest.shards:
        trainable = info.documents >= training(kind)
        assert info.index_kind == (kind if trainable else "Flat")
        assert info.recall > 0.3 or "PQ8" in kind


@pytest.mark.parametrize(
    "kind",
    ["IDMap,Flat", "PCA32,Flat", "LSQ4x8", "IVF0,Flat", "IVF99999999999,Flat", "HNSW999999", "",
     "PQ4x16", "IVF65537,Flat", "Flat,Flat", "OPQ4,PQ4", "x" * 3000, "\x00", "IVF1\uff16,Flat"],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_by_its_form(kind: str) -> None:
    with pytest.raises(BuildError, match="--index"):
        check_kind(kind)


@pytest.mark.parametrize("kind", ["PQ7", "PQ0", "PQ9999x4fs", "PQ8x5fs"])
def test_what_does_not_fit_the_model_is_refused_before_encoding(kind: str) -> None:
    check_kind(kind)
    with pytest.raises(BuildError, match=rf"--index '{kind}': FAISS cannot make it for vectors"):
        check_kind(kind, DIM)


def test_what_faiss_refuses_while_building_is_one_line() -> None:
    with pytest.raises(BuildError, match=r"FAISS cannot build index 'IVF16,Flat' over 3 vectors"):
        build_index(vectors_of(["a", "b", "c"]), "IVF16,Flat", 1)


def test_vectors_are_counted_once_each() -> None:
    vectors = np.repeat(vectors_of(["a", "b"]), 3000, axis=0)
    assert choose_kind(vectors, "auto") == "SQfp16"
    assert choose_kind(vectors, PQ) == "Flat"
    assert choose_kind(vectors_of([str(number) for number in range(2001)]), "auto") == PQ


def test_a_manifest_with_documents_and_no_cluster_is_refused(tmp_path: Path) -> None:
    generation = build_small(tmp_path, ["one"], shards=2)
    path = generation.directory / "manifest.json"
    path.write_text(path.read_text().replace('"documents": 0', '"documents": 1', 1))
    with pytest.raises(GenerationError, match=r"documents without a cluster|do not add up"):
        Manifest.load(generation.directory)

"""Building on a generation: what stays, what is answered, what is refused, and what is sent."""

import re
import shutil
import subprocess
from pathlib import Path
from unittest.mock import patch

import faiss
import numpy as np
import pytest
from encoder_fakes import DIM, make_artefact
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_generations import SmallGeneration, build_small, documents_of, vectors_of

from app.errors import BuildError, GenerationError
from app.generation.routing import CENTROIDS, CLUSTER_SHARD, Router
from app.generation.rows import Row, everything
from app.generation.shard_part import open_store
from index_builder.cli import main
from index_builder.corpus.document import Document
from index_builder.replay import Replay

MANY = tuple(f"question number {number}" for number in range(1500))
PQ = "PQ4x4fs,Refine(SQfp16)"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> SmallGeneration:
    return build_small(tmp_path_factory.mktemp("base"), MANY)


def build_on(
    base: SmallGeneration,
    root: Path,
    documents: list[Document],
    vectors: NDArray[np.float32] | None = None,
    **settings: object,
) -> SmallGeneration:
    return build_small(
        root,
        artefact=base.artefact,
        documents=documents,
        vectors=vectors,
        base=base.directory,
        **settings,
    )


def rows_of(generation: SmallGeneration, shard: int) -> list[Row]:
    return list(everything(open_store(generation.directory, generation.manifest, shard)))


def ordinals_of(generation: SmallGeneration) -> dict[str, int]:
    """By id, from all shards, which must agree."""
    pairs = {
        (row.id, row.ordinal)
        for shard in range(len(generation.manifest.shards))
        for row in rows_of(generation, shard)
    }
    assert len({name for name, _ in pairs}) == len(pairs) == len({place for _, place in pairs})
    return dict(pairs)


def fresh(count: int) -> list[Document]:
    return [Document(id=f"new-{n}", text=f"another question {n}") for n in range(count)]


def edited(documents: list[Document], seed: int, added: int, removed: int) -> list[Document]:
    """Some documents gone, some new ones between the others, a few reworded."""
    rng = np.random.default_rng(seed)
    gone = set(rng.choice(len(documents), removed, replace=False).tolist())
    result = [document for place, document in enumerate(documents) if place not in gone]
    for place in rng.choice(len(result), min(3, len(result)), replace=False).tolist():
        result[place] = Document(id=result[place].id, text=f"reworded {result[place].text}")
    for document in fresh(added):
        result.insert(int(rng.integers(len(result) + 1)), document)
    return result


def check_whole(generation: SmallGeneration) -> None:
    """Every document is whole and in the shard of its nearest centroid, in its vector's row."""
    router = Router.load(generation.directory, generation.manifest)
    held = [rows_of(generation, shard) for shard in range(len(generation.manifest.shards))]
    named = {document.id: document for document in generation.documents}
    assert {row.id for rows in held for row in rows} == named.keys()
    for rows in held:
        assert len({row.id for row in rows}) == len(rows)
        assert all((row.text, row.answer) == (named[row.id].text, named[row.id].answer)
                   for row in rows)  # fmt: skip
    scores = generation.vectors @ router.centroids.T
    for document, row in zip(generation.documents, scores, strict=True):
        near = np.flatnonzero(row >= row.max() - 1e-5)
        shards = {int(router.cluster_shard[cluster]) for cluster in near}
        assert any(document.id == row.id for shard in shards for row in held[shard])


def check_exact(generation: SmallGeneration, queries: NDArray[np.float32], k: int) -> None:
    """All shards together rank by score, then by ordinal, as one exact index would."""
    ordinals = ordinals_of(generation)
    names = [document.id for document in generation.documents]
    order = np.array([ordinals[name] for name in names])
    answers = Replay(generation.directory).search(queries, k, "all")
    for query, hits in zip(queries, answers.hits, strict=True):
        scores = np.round((generation.vectors @ query).astype(np.float64), 5)
        best = np.lexsort((order, -scores))[:k]
        assert [hit.row.id for hit in hits] == [names[place] for place in best]
        assert np.allclose([hit.score for hit in hits], scores[best], atol=2e-5)


def test_clusters_and_placement_are_kept(base: SmallGeneration, tmp_path: Path) -> None:
    after = build_on(base, tmp_path, edited(base.documents, 1, 15, 15))
    for name in (CENTROIDS, CLUSTER_SHARD):
        assert after.manifest.files[name] == base.manifest.files[name]
    check_whole(after)
    check_exact(after, vectors_of([*MANY[:10], "stranger", "reworded question number 3"]), 10)
    assert after.manifest.stored <= 1.25 * after.manifest.documents


def test_ordinals_are_kept_and_new_documents_are_numbered_last(
    base: SmallGeneration, tmp_path: Path
) -> None:
    after = build_on(base, tmp_path, edited(base.documents, 2, 15, 15))
    before, now = ordinals_of(base), ordinals_of(after)
    assert {name: now[name] for name in now.keys() & before.keys()} == {
        name: before[name] for name in now.keys() & before.keys()
    }
    new = [document.id for document in after.documents if document.id not in before]
    assert [now[name] for name in new] == list(range(max(before.values()) + 1, 1500 + 15))


@pytest.mark.parametrize(("added", "removed"), [(15, 0), (0, 15), (15, 15)])
def test_rows_of_documents_that_stay_do_not_move(
    base: SmallGeneration, tmp_path: Path, added: int, removed: int
) -> None:
    """Only the last rows of a shard, into the gaps of what has gone."""
    rng = np.random.default_rng(4)
    gone = set(rng.choice(len(base.documents), removed, replace=False).tolist())
    stay = [document for place, document in enumerate(base.documents) if place not in gone]
    after = build_on(base, tmp_path, fresh(added) + stay)
    for shard in range(3):
        now = {row.id: local for local, row in enumerate(rows_of(after, shard))}
        rows = enumerate(rows_of(base, shard))
        before = {row.id: local for local, row in rows if row.id in now}
        moved = sum(local != now[name] for name, local in before.items())
        assert moved <= 20, f"of {len(before)}"


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32 - 1),
    added=st.integers(0, 8),
    removed=st.integers(0, 8),
    storage=st.sampled_from([1.0, 1.25, 2.0]),
    k=st.integers(1, 30),
)
@pytest.mark.slow
def test_all_probes_are_exact_search_whatever_has_changed(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    added: int,
    removed: int,
    storage: float,
    k: int,
) -> None:
    """Vectors repeat, so that scores tie within shards, whose rows are not in order, and across."""
    root = tmp_path_factory.mktemp("any")
    rng = np.random.default_rng(seed)
    some = rng.normal(size=(30, DIM)).astype(np.float32)
    some /= np.linalg.norm(some, axis=1, keepdims=True)
    kinds = rng.permutation(np.concatenate([np.arange(30), rng.integers(0, 5, 60)]))
    documents = documents_of([f"text {number}" for number in range(len(kinds))])
    given_vectors = dict(zip((d.id for d in documents), some[kinds], strict=True))
    first = build_small(
        root / "a",
        documents=documents,
        vectors=np.ascontiguousarray(some[kinds]),
        storage=storage,
        sample=20,
    )
    after = edited(documents, seed, added, removed)
    vectors = np.stack([given_vectors.get(d.id, some[len(d.id) % 5]) for d in after])
    # Three clusters of few documents are seldom in balance, and that is not the matter here.
    with patch("index_builder.base.MAX_LOAD", 3.0):
        try:
            second = build_on(first, root / "b", after, vectors, storage=storage, sample=20)
        except BuildError as error:
            assert "would hold no document" in str(error)  # noqa: PT017  # any other is a fault
            reject()
    check_exact(second, np.concatenate([some[:8], vectors_of(["a", "b"])]), k)


def test_the_same_base_gives_the_same_content(base: SmallGeneration, tmp_path: Path) -> None:
    documents = edited(base.documents, 3, 15, 30)
    one, other = (build_on(base, tmp_path / name, documents) for name in "ab")
    assert one.manifest.files == other.manifest.files
    assert one.manifest.content_hash == other.manifest.content_hash
    again = build_on(base, tmp_path / "a", documents)
    assert (again.manifest, again.new) == (one.manifest, False)
    plain = build_small(tmp_path / "a", artefact=base.artefact, documents=documents)
    assert plain.new
    assert plain.manifest.content_hash != one.manifest.content_hash


def test_an_unchanged_corpus_gives_the_bases_files(base: SmallGeneration, tmp_path: Path) -> None:
    after = build_on(base, tmp_path, base.documents)
    assert after.manifest.inputs_hash != base.manifest.inputs_hash
    assert after.manifest.files == base.manifest.files
    assert after.manifest.content_hash == base.manifest.content_hash


def test_shards_without_new_documents_keep_a_trained_index(tmp_path: Path) -> None:
    """New documents for shard 0 only: nothing is trained again, and the others' files are equal."""
    first = build_small(tmp_path / "a", MANY, index=PQ, storage=1.0)
    assert {shard.index_kind for shard in first.manifest.shards} == {PQ}
    near = first.vectors[rows_of(first, 0)[0].ordinal]
    vectors = np.concatenate([first.vectors, np.tile(near, (15, 1))])
    for wanted in ("auto", PQ):
        second = build_on(
            first,
            tmp_path / wanted[:2],
            first.documents + fresh(15),
            vectors,
            index=wanted,
            storage=1.0,
        )
        files = second.manifest.files
        assert second.manifest.shards[0].documents == first.manifest.shards[0].documents + 15
        for shard in ("shard-001", "shard-002"):
            name = f"{shard}/index.faiss"
            assert files[name] == first.manifest.files[name]
        books = [codebooks(generation, 0) for generation in (first, second)]
        assert (books[0] == books[1]).all()


def codebooks(generation: SmallGeneration, shard: int) -> NDArray[np.float32]:
    index = faiss.read_index(str(generation.directory / f"shard-{shard:03d}" / "index.faiss"))
    codes = faiss.downcast_index(index.base_index)
    return np.asarray(faiss.vector_to_array(codes.pq.centroids), dtype=np.float32)


def test_another_kind_of_index_is_trained_anew(base: SmallGeneration, tmp_path: Path) -> None:
    after = build_on(base, tmp_path, base.documents, index=PQ)
    assert {shard.index_kind for shard in after.manifest.shards} == {PQ}
    assert all(shard.recall > 0.9 for shard in after.manifest.shards)


def test_what_has_gone_is_not_left_in_a_file(base: SmallGeneration, tmp_path: Path) -> None:
    after = build_on(base, tmp_path, base.documents[:-15])
    for document in base.documents[-15:]:
        for path in after.directory.rglob("documents.bin"):
            assert document.id.encode() not in path.read_bytes()


def test_little_is_sent_for_one_percent_of_new_documents(
    base: SmallGeneration, tmp_path: Path
) -> None:
    documents = base.documents + fresh(15)
    after = build_on(base, tmp_path / "on", documents)
    anew = build_small(tmp_path / "anew", artefact=base.artefact, documents=documents)
    assert sent(base, after, tmp_path / "copy-1") < 0.1
    assert sent(base, anew, tmp_path / "copy-2") > 0.5


def sent(base: SmallGeneration, after: SmallGeneration, copy: Path) -> float:
    """The share of the shards' bytes that rsync would send to a host that has the base."""
    stats = subprocess.run(
        ["rsync", "-a", "--checksum", "--no-whole-file", "--stats", "--include=/shard-*/***",
         "--exclude=*", f"--link-dest={base.directory}", f"{after.directory}/", f"{copy}/"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    [total] = re.findall(r"Total file size: ([\d,]+)", stats)
    ways = re.findall(r"Total bytes (?:sent|received): ([\d,]+)", stats)
    number = [int(text.replace(",", "")) for text in (total, *ways)]
    return sum(number[1:]) / number[0]


def test_another_model_or_number_of_shards_is_refused(
    base: SmallGeneration, tmp_path: Path
) -> None:
    other = make_artefact(tmp_path / "models", b"other")
    message = f"was made by model {base.artefact.name}, this build has {other.name}"
    with pytest.raises(BuildError, match=message):
        build_small(tmp_path, MANY, artefact=other, base=base.directory)
    with pytest.raises(BuildError, match="has 3 shards, this build has 4: use as many"):
        build_on(base, tmp_path, base.documents, shards=4)


def test_what_is_not_sealed_or_not_whole_is_refused(base: SmallGeneration, tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="is not a sealed generation"):
        build_small(tmp_path, MANY, artefact=base.artefact, base=tmp_path)
    torn = tmp_path / "torn"
    shutil.copytree(base.directory, torn)
    store = torn / "shard-001" / "documents.bin"
    store.write_bytes(store.read_bytes().replace(b"question number 3", b"question number 4", 1))
    with pytest.raises(GenerationError, match=r"documents\.bin does not match its sha256"):
        build_small(tmp_path, MANY, artefact=base.artefact, base=torn)
    assert list((tmp_path / "generations").iterdir()) == []


def test_a_base_out_of_balance_is_refused(base: SmallGeneration, tmp_path: Path) -> None:
    near = base.vectors[rows_of(base, 2)[0].ordinal]
    vectors = np.concatenate([base.vectors, np.tile(near, (600, 1))])
    with pytest.raises(
        BuildError, match=r"out of balance: shard . would hold 1\.\d\d times .* 1.3"
    ):
        build_on(base, tmp_path, base.documents + fresh(600), vectors)


def test_an_empty_cluster_is_refused(base: SmallGeneration, tmp_path: Path) -> None:
    router = Router.load(base.directory, base.manifest)
    stay = (base.vectors @ router.centroids.T).argmax(axis=1) != 0
    documents = [d for d, stays in zip(base.documents, stay, strict=True) if stays]
    message = "1 of its 38 clusters would hold no document: build without --base"
    with pytest.raises(BuildError, match=message):
        build_on(base, tmp_path, documents)


def test_base_and_given_clusters_exclude_each_other(
    base: SmallGeneration, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["build", "--model", str(base.artefact), "--out", str(tmp_path), "--shards", "3"]
    assert main([*words, "--course-clusters", "c.json", "--base", str(base.directory)]) == 1
    assert "--base has clusters of its own" in capsys.readouterr().err

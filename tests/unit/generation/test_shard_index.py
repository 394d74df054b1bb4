"""The index of a shard: exact search is exact, and does not depend on what is beside it."""

from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.errors import GenerationError
from app.generation.passing import Passing
from app.generation.shard_index import ShardIndex, write_index

DIM = 16


def unit(rng: np.random.Generator, rows: int) -> NDArray[np.float32]:
    vectors = rng.normal(size=(rows, DIM)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def flat(vectors: NDArray[np.float32]) -> ShardIndex:
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return ShardIndex(index)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.integers(1, 20))
def test_exact_search_is_numpys(seed: int, rows: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, queries = unit(rng, rows), unit(rng, 5)
    hits = flat(vectors).search(queries, k)
    exact = queries.astype(np.float64) @ vectors.astype(np.float64).T
    assert hits.rows.shape == hits.scores.shape == (5, min(k, rows))
    best = -np.sort(-exact, axis=1)[:, : min(k, rows)]
    assert np.allclose(hits.scores, best, atol=1e-5)
    assert np.allclose(np.take_along_axis(exact, hits.rows, axis=1), hits.scores, atol=1e-5)
    assert all(len(set(row)) == len(row) for row in hits.rows.tolist())


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 30), st.integers(0, 10**6)
)
def test_equal_scores_come_by_row_whatever_k_is(kinds: list[int], k: int, seed: int) -> None:
    """Rows of few kinds: ties everywhere, across the k-th place above all."""
    few = unit(np.random.default_rng(seed), 5)
    vectors = few[kinds]
    query = unit(np.random.default_rng(seed + 1), 1)
    hits = flat(vectors).search(query, k)
    score_of = {kind: float(flat(few[kind : kind + 1]).search(query, 1).scores[0, 0])
                for kind in set(kinds)}  # fmt: skip
    expected = sorted(range(len(kinds)), key=lambda row: (-score_of[kinds[row]], row))
    assert hits.rows[0].tolist() == expected[:k]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 30), st.integers(0, 10**6)
)
def test_equal_scores_come_by_rank_where_rows_are_in_another_order(
    kinds: list[int], k: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors, query = unit(rng, 5)[kinds], unit(rng, 1)
    ordinals = rng.permutation(len(kinds)) * 3
    in_order = np.argsort(ordinals)
    index = faiss.IndexFlatIP(DIM)
    index.add(vectors)
    hits = ShardIndex(index, ordinals.__getitem__).search(query, k)
    by_row = flat(np.ascontiguousarray(vectors[in_order])).search(query, k)
    assert ordinals[hits.rows].tolist() == ordinals[in_order][by_row.rows].tolist()
    assert hits.scores.tolist() == by_row.scores.tolist()


def test_rows_that_were_not_found_have_no_rank() -> None:
    vectors = unit(np.random.default_rng(3), 64)
    index = faiss.index_factory(DIM, "IVF16,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    hits = ShardIndex(index, (np.arange(64) * 2).__getitem__).search(vectors[:1], 30)
    assert (hits.rows[0, -2:] == -1).all()
    assert hits.rows[0, 0] == 0


@pytest.mark.parametrize("kind", ["Flat", "PQ4x4fs,RFlat", "PQ4x4fs,Refine(SQfp16)", "IVF4,Flat"])
@pytest.mark.parametrize("count", [1, 3, 19, 20, 21, 64, 257])
def test_the_same_bits_alone_or_in_a_batch(kind: str, count: int) -> None:
    rng = np.random.default_rng(5)
    vectors, queries = unit(rng, 500), unit(rng, count)
    index = faiss.index_factory(DIM, kind, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    together = ShardIndex(index).search(queries, 10)
    for row in range(count):
        alone = ShardIndex(index).search(queries[row : row + 1], 10)
        assert alone.rows[0].tolist() == together.rows[row].tolist()
        assert alone.scores[0].tobytes() == together.scores[row].tobytes()


def test_a_row_scores_the_same_wherever_it_stands() -> None:
    """Border copies stand at different rows of different shards; the merge needs equal scores."""
    rng = np.random.default_rng(8)
    vectors, query = unit(rng, 300), unit(rng, 1)
    whole = flat(vectors).search(query, 300)
    score = dict(zip(whole.rows[0].tolist(), whole.scores[0].tolist(), strict=True))
    for start in range(1, 300, 7):
        part = flat(np.ascontiguousarray(vectors[start:])).search(query, 300)
        for row, value in zip(part.rows[0].tolist(), part.scores[0].tolist(), strict=True):
            assert value == score[row + start]


def written(path: Path) -> Path:
    index = faiss.IndexFlatIP(DIM)
    index.add(unit(np.random.default_rng(1), 40))
    write_index(index, path)
    return path


def test_a_written_index_is_read_back(tmp_path: Path) -> None:
    path = written(tmp_path / "index.faiss")
    query = unit(np.random.default_rng(2), 1)
    loaded = ShardIndex.load(path, dim=DIM, count=40)
    fresh = flat(unit(np.random.default_rng(1), 40))
    assert (loaded.dim, loaded.count) == (DIM, 40)
    assert loaded.search(query, 5).scores.tobytes() == fresh.search(query, 5).scores.tobytes()


def test_another_shape_than_promised_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "index.faiss")
    for dim, count in ((DIM, 41), (DIM + 1, 40)):
        message = f"holds 40 vectors of {DIM} dimensions, the manifest says {count} of {dim}"
        with pytest.raises(GenerationError, match=message):
            ShardIndex.load(path, dim=dim, count=count)


@pytest.mark.parametrize("keep", [0, 3, 20, 500, -1])
def test_a_torn_index_is_refused(tmp_path: Path, keep: int) -> None:
    path = written(tmp_path / "index.faiss")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(GenerationError, match=r"index\.faiss is not a readable FAISS index"):
        ShardIndex.load(path, dim=DIM, count=40)


def test_a_missing_or_foreign_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="is not a readable FAISS index"):
        ShardIndex.load(tmp_path / "none", dim=DIM, count=1)
    (tmp_path / "text").write_text("a text, not an index " * 20)
    with pytest.raises(GenerationError, match="is not a readable FAISS index"):
        ShardIndex.load(tmp_path / "text", dim=DIM, count=1)


def test_an_index_of_distances_is_refused(tmp_path: Path) -> None:
    index = faiss.IndexFlatL2(DIM)
    index.add(unit(np.random.default_rng(1), 4))
    write_index(index, tmp_path / "index.faiss")
    with pytest.raises(GenerationError, match="does not score by inner product"):
        ShardIndex.load(tmp_path / "index.faiss", dim=DIM, count=4)


def test_the_file_is_mapped_not_read(tmp_path: Path) -> None:
    index = faiss.IndexFlatIP(DIM)
    index.add(unit(np.random.default_rng(7), 500))
    path = tmp_path / "mapped.faiss"
    write_index(index, path)
    loaded = ShardIndex.load(path, dim=DIM, count=500)
    assert str(path) in Path("/proc/self/maps").read_text(encoding="utf-8")
    assert loaded.count == 500


def indexed(kind: str, rows: int) -> tuple[ShardIndex, NDArray[np.float32]]:
    vectors = unit(np.random.default_rng(5), rows)
    index = faiss.index_factory(DIM, kind, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    if hasattr(index, "k_factor"):
        index.k_factor = 64.0
    return ShardIndex(index), vectors


@pytest.mark.parametrize(
    "kind", ["Flat", "SQfp16", "SQ8", "PQ8x4fs,Refine(SQfp16)", "PQ8x4fs,RFlat", "HNSW8"]
)
def test_the_score_of_a_row_is_that_of_a_search(kind: str) -> None:
    searched, vectors = indexed(kind, 400)
    assert searched.scores_rows
    hits = searched.search(vectors[:5], 20)
    for query, rows, scores in zip(vectors[:5], hits.rows, hits.scores, strict=True):
        assert searched.scores(query, rows).tobytes() == scores.tobytes()
    assert searched.scores(vectors[0], np.empty(0, np.int64)).shape == (0,)


@pytest.mark.parametrize("kind", ["IVF4,Flat", "PQ8x4fs"])
def test_some_indexes_have_no_score_of_a_row(kind: str) -> None:
    searched, vectors = indexed(kind, 400)
    assert not searched.scores_rows
    with pytest.raises(GenerationError, match="the index has no score of a row"):
        searched.scores(vectors[0], np.arange(3))


def test_a_deep_list_begins_with_as_good_a_short_one() -> None:
    """Places that nobody wants are looked for with less effort, the others with as much."""
    searched, vectors = indexed("PQ8x4fs,Refine(SQfp16)", 3000)
    truth = flat(vectors).search(vectors[:40], 10).rows
    lists = searched.search(vectors[:40], 10).rows, searched.search(vectors[:40], 50, 10).rows
    recalls = [
        np.mean([np.isin(a[:10], b).mean() for a, b in zip(found, truth, strict=True)])
        for found in lists
    ]
    assert recalls[1] >= recalls[0] - 0.03
    assert searched._effort(10, 50).k_factor == pytest.approx(64 * 11 / 51)
    assert searched._effort(1, 50).k_factor == 4.0
    assert searched._effort(50, 50) is None
    assert searched._effort(None, 50) is None
    assert flat(vectors)._effort(10, 50) is None


@pytest.mark.parametrize("kind", ["HNSW16", "IVF16,Flat"])
@pytest.mark.parametrize("part", [0.2, 0.02])
def test_what_few_rows_pass_is_found_by_every_kind(kind: str, part: float) -> None:
    searched, vectors = indexed(kind, 3000)
    mask = np.random.default_rng(1).random(len(vectors)) < part
    hits = searched.search(vectors[:30], 10, passing=Passing(mask))
    assert (hits.rows >= 0).all()

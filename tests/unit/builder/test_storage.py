"""How much is stored: measured on the corpus itself, cheapest first, within a limit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from small_generations import build_small

from app.errors import BuildError
from app.generation.shard_index import ShardIndex
from index_builder import storage
from index_builder.border import border_candidates
from index_builder.cluster import cluster
from index_builder.evaluate import found_by, leave_one_out, masses_of
from index_builder.placement import place
from index_builder.settings import Settings, check_settings
from index_builder.shards import build_index
from index_builder.storage import AMOUNTS, Placed, bytes_of, choose_storage
from index_builder.texts import Texts

SHARDS, DIM = 4, 16
TARGETS = (0.99, 0.95)


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    made = np.random.default_rng(1).normal(size=(1200, DIM)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def measured(vectors: NDArray[np.float32]) -> tuple[Placed, tuple[object, ...]]:
    clusters = cluster(vectors, 24, 1)
    cluster_shard = place(clusters.sizes, clusters.affinity, clusters.centroids, SHARDS, 1)
    home = cluster_shard[clusters.labels]
    found = border_candidates(vectors, clusters.centroids, cluster_shard, home, SHARDS)
    sample = leave_one_out(vectors, Texts.of(len(vectors)), lambda places: vectors[places], 300, 1)
    masses = masses_of(sample, clusters.centroids, cluster_shard, SHARDS)
    return Placed(home, found, SHARDS), (sample, masses)


def test_more_copies_ask_fewer_shards_and_the_cheapest_is_taken(measured) -> None:
    placed, (sample, masses) = measured
    chosen, rows = choose_storage(placed, sample, masses, TARGETS, 40.0, None)
    assert [row.storage for row in rows] == [1.0, 1.25, 1.5, 1.75, 2.0]
    assert [row.bytes_per_document for row in rows] == [40, 50, 60, 70, 80]
    assert rows[-1].fan_out < rows[0].fan_out
    cheapest = min(row.cpu_ms for row in rows)
    (row,) = [row for row in rows if row.storage == chosen]
    assert row.cpu_ms <= cheapest * storage.ALIKE
    assert all(one.cpu_ms > cheapest * storage.ALIKE for one in rows if one.storage < chosen)


def test_of_what_costs_about_the_same_the_smallest_is_taken(
    measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "CPU_SHARD", 5e-3)
    monkeypatch.setattr(storage, "CPU_SCAN", 0.0)
    placed, (sample, masses) = measured
    chosen, rows = choose_storage(placed, sample, masses, TARGETS, 40.0, None)
    assert chosen == 1.0
    assert min(rows, key=lambda row: row.cpu_ms).storage > 1.0


def test_what_is_measured_is_what_exact_shards_would_return(
    vectors: NDArray[np.float32], measured, tmp_path: Path
) -> None:
    placed, (sample, _) = measured
    for copies in (0, 150, 900):
        stored = [
            np.sort(np.concatenate([np.flatnonzero(placed.home == shard), own]))
            for shard, own in enumerate(placed.candidates.take(copies, SHARDS))
        ]
        indexes = []
        for own in stored:
            built = build_index(vectors[own], "Flat", 1, None)
            path = tmp_path / f"{copies}-{len(indexes)}"
            storage.faiss.write_index(built.index, str(path))
            indexes.append(ShardIndex.load(path, dim=DIM, count=len(own), rank=own.__getitem__))
        assert (storage._held(placed, sample, copies) == found_by(sample, indexes, stored)).all()


@pytest.mark.parametrize(("limit", "most"), [(1.0, 1.0), (100.0, 1.0), (149.0, 1.25), (200.0, 2.0)])
def test_a_limit_is_kept(measured, limit: float, most: float) -> None:
    """One copy of each document there must be, whatever the limit."""
    placed, (sample, masses) = measured
    chosen, rows = choose_storage(placed, sample, masses, TARGETS, 100.0, limit)
    assert chosen <= most
    assert rows[-1].storage == most


def test_the_amounts_end_where_there_is_nothing_more_to_copy(measured) -> None:
    placed, (sample, masses) = measured
    few = Placed(placed.home, storage.Candidates(*_first(placed, 400)), SHARDS)
    _, rows = choose_storage(few, sample, masses, TARGETS, 1.0, 1e9)
    assert [row.storage for row in rows] == [1.0, 1.25, round(1 + 400 / 1200, 4)]


def _first(placed: Placed, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    found = placed.candidates
    return found.ordinals[:count], found.targets[:count]


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("Flat", 1536),
        ("SQfp16", 768),
        ("PQ96x4fs,Refine(SQfp16)", 816),
        ("PQ96x4fs,Refine(SQ8)", 432),
        ("IVF64,PQ96x4fs,RFlat", 1585),
        ("HNSW32", 1536 + 256),
    ],
)
def test_bytes_of_a_stored_vector(kind: str, size: int) -> None:
    assert bytes_of(kind, 384) == size


def test_a_generation_tells_what_was_measured_and_the_next_one_keeps_it(tmp_path: Path) -> None:
    texts = [f"text {number} of them" for number in range(400)]
    first = build_small(tmp_path / "a", texts)
    rows = first.manifest.routing.storage
    assert rows[0].storage == 1.0
    stored = first.manifest.stored / first.manifest.documents
    assert any(abs(stored - row.storage) < 0.01 for row in rows)
    given = build_small(tmp_path / "b", texts, storage=AMOUNTS[1])
    assert given.manifest.routing.storage == ()
    more = [*texts, "one more"]
    after = build_small(tmp_path / "c", more, artefact=given.artefact, base=given.directory)
    assert after.manifest.stored / after.manifest.documents <= AMOUNTS[1]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Settings(4, bytes_per_document=0.0), "--bytes-per-document 0"),
        (Settings(4, bytes_per_document=float("nan")), "--bytes-per-document nan"),
        (Settings(4, storage=1.5, bytes_per_document=900.0), "leave one out"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: Settings, told: str) -> None:
    with pytest.raises(BuildError, match=told):
        check_settings(settings)

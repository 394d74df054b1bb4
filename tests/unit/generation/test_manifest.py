"""The manifest: every check it makes, one broken thing at a time."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from small_generations import SmallGeneration, build_small

from app.errors import GenerationError
from app.generation import documents
from app.generation.manifest import Manifest
from app.generation.routing import CENTROIDS, CLUSTER_SHARD, Router
from app.generation.shard_index import write_index
from app.generation.shard_part import ShardPart


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> SmallGeneration:
    return build_small(tmp_path_factory.mktemp("sealed"))


@pytest.fixture
def copy(sealed: SmallGeneration, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sealed.directory, tmp_path / sealed.manifest.id))


def edit(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = directory / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_sealed_generation_is_whole(sealed: SmallGeneration) -> None:
    manifest = Manifest.load(sealed.directory)
    assert manifest == sealed.manifest
    manifest.verify(sealed.directory, range(3), routing=True)
    on_disk = {
        str(path.relative_to(sealed.directory))
        for path in sealed.directory.rglob("*")
        if path.is_file()
    }
    assert on_disk == {"manifest.json", *manifest.files}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(schema=2), "schema 2, this release reads 1"),
        (lambda m: m.update(id="latest"), "id 'latest' is malformed"),
        (lambda m: m.update(id="../" + m["id"]), "is malformed"),
        (lambda m: m.update(id=m["id"] + "\n"), "is malformed"),
        (lambda m: m.update(content_hash="0" * 64), "id and content hash differ"),
        (lambda m: m.update(clusters=2**62), "a cluster belongs to no shard"),
        (lambda m: m["model"].update(dim=0), "a vector has no dimension"),
        (lambda m: m["routing"].update(neighbours=0), "neighbours of the routing out of range"),
        (lambda m: m["routing"].update(temperature=0), "neighbours of the routing out of range"),
        (lambda m: m["files"].pop("shard-001/index.faiss"), r"index\.faiss is not listed"),
        (lambda m: m["files"].pop("routing/centroids.npy"), r"centroids\.npy is not listed"),
        (lambda m: m["shards"].reverse(), "shards are not numbered 0, 1, 2"),
        (lambda m: m["shards"].pop(1), "shards are not numbered 0, 1, 2"),
        (lambda m: m["shards"].pop(), "belongs to no shard or to several"),
        (lambda m: m["shards"][0]["clusters"].pop(), "belongs to no shard or to several"),
        (
            lambda m: m["shards"][0]["clusters"].append(m["shards"][1]["clusters"][0]),
            "belongs to no shard or to several",
        ),
        (lambda m: m.update(clusters=m["clusters"] + 1), "belongs to no shard or to several"),
        (lambda m: m.update(stored=m["stored"] + 1), "documents do not add up"),
        (lambda m: m.update(documents=m["stored"] + 1), "documents do not add up"),
        (lambda m: m.update(documents=0), "documents do not add up"),
        (lambda m: m["files"].update({"../x": {"size": 1, "sha256": ""}}), "leaves the directory"),
        (lambda m: m["files"].update({"/etc/x": {"size": 1, "sha256": ""}}), "leaves the"),
        (lambda m: m["files"].update({"a/../../x": {"size": 1, "sha256": ""}}), "leaves the"),
        (lambda m: m.update(extra=1), "unknown field `extra`"),
        (lambda m: m["shards"][0].update(extra=1), r"unknown field `extra` - at `\$.shards"),
        (lambda m: m["routing"].update(extra=1), r"unknown field `extra` - at `\$.routing"),
        (lambda m: m["model"].update(extra=1), r"unknown field `extra` - at `\$.model"),
        (lambda m: m.pop("model"), "missing required field `model`"),
        (lambda m: m.update(documents="60"), "Expected `int`, got `str`"),
        (lambda m: m["files"].update({"x": 1}), r"Expected `object`, got `int` - at `\$.files"),
    ],
)
def test_a_wrong_manifest_is_refused(
    copy: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(copy, change)
    with pytest.raises(GenerationError, match=message) as caught:
        Manifest.load(copy)
    assert str(copy / "manifest.json") in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"id": "\xff"}', b"[" * 100_000])
def test_what_is_no_json_object_is_refused(copy: Path, content: bytes) -> None:
    (copy / "manifest.json").write_bytes(content)
    with pytest.raises(GenerationError, match=r"manifest\.json is not a valid manifest"):
        Manifest.load(copy)


def test_without_a_manifest_a_directory_is_unfinished(copy: Path, tmp_path: Path) -> None:
    (copy / "manifest.json").unlink()
    with pytest.raises(GenerationError, match="not a sealed generation: No such file"):
        Manifest.load(copy)
    with pytest.raises(GenerationError, match="not a sealed generation"):
        Manifest.load(tmp_path / "nowhere")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip, "does not match its sha256"),
        (truncate, r"has \d+ bytes, the manifest says \d+"),
        (Path.unlink, "is missing"),
    ],
)
@pytest.mark.parametrize(
    "name",
    ["shard-001/index.faiss", "shard-001/documents.sqlite", CENTROIDS, CLUSTER_SHARD,
     "canaries.jsonl"],
)  # fmt: skip
def test_a_damaged_file_is_named_with_the_remedy(
    copy: Path, name: str, damage: Callable[[Path], None], message: str
) -> None:
    damage(copy / name)
    manifest = Manifest.load(copy)
    with pytest.raises(GenerationError, match=f"{message}.*stage the generation again") as caught:
        manifest.verify(copy, [1], routing=True)
    assert str(copy / name) in str(caught.value)


def test_each_host_is_asked_for_its_own_parts_only(copy: Path) -> None:
    manifest = Manifest.load(copy)
    assert set(manifest.parts([2], routing=False)) == {
        "shard-002/index.faiss",
        "shard-002/documents.sqlite",
    }
    gateway = {"routing/centroids.npy", "routing/cluster_shard.npy", "canaries.jsonl"}
    assert set(manifest.parts([], routing=True)) == gateway
    assert set(manifest.parts(range(3), routing=True)) == set(manifest.files)
    assert manifest.parts([], routing=False) == {}
    for other in ("shard-000", "shard-001", "routing"):
        shutil.rmtree(copy / other)
    (copy / "canaries.jsonl").unlink()
    manifest.verify(copy, [2], routing=False)
    ShardPart.open(copy, 2).self_query()


def test_a_shard_that_lost_its_documents_is_refused(copy: Path) -> None:
    """Only a shard without clusters may be empty, and then its manifest says so."""
    store = copy / "shard-002/documents.sqlite"
    store.unlink()
    documents.write(store, [])
    index = faiss.IndexFlatIP(Manifest.load(copy).model.dim)
    write_index(index, copy / "shard-002/index.faiss")

    def count(content: dict[str, Any]) -> None:
        content["stored"] -= content["shards"][2]["documents"]
        content["documents"] = min(content["documents"], content["stored"])
        content["shards"][2]["documents"] = 0

    edit(copy, count)
    with pytest.raises(GenerationError, match="a cluster without documents"):
        ShardPart.open(copy, 2)


def test_a_shard_that_is_not_there_is_refused(copy: Path) -> None:
    with pytest.raises(GenerationError, match="has 3 shards, no shard 3"):
        Manifest.load(copy).verify(copy, [3], routing=False)
    with pytest.raises(GenerationError, match="has 3 shards, no shard 3"):
        ShardPart.open(copy, 3)


def save(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    np.save(path, change(np.load(path)), allow_pickle=False)


def swap_owners(owner: np.ndarray) -> np.ndarray:
    return (owner + 1) % 3


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (CENTROIDS, lambda a: a[:-1], "has shape"),
        (CENTROIDS, lambda a: a[:, :-1], "has shape"),
        (CENTROIDS, lambda a: a * np.float32(np.nan), "not finite"),
        (CENTROIDS, lambda a: a.astype(np.complex64), "float32"),
        (CLUSTER_SHARD, swap_owners, "and the manifest disagree on shard"),
        (CLUSTER_SHARD, lambda a: a[:-1], "disagree"),
        (CLUSTER_SHARD, lambda a: np.append(a, 0), "disagree|one shard per centroid"),
        (CLUSTER_SHARD, lambda a: a.astype(str), "disagree"),
    ],
)
def test_routing_that_disagrees_with_the_manifest_is_refused(
    copy: Path, name: str, change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    save(copy / name, change)
    with pytest.raises(GenerationError, match=message):
        Router.load(copy, Manifest.load(copy))


@pytest.mark.parametrize("name", [CENTROIDS, CLUSTER_SHARD])
@pytest.mark.parametrize("content", [None, b"", b"not numpy", b"\x93NUMPY\x01\x00\xff\xff"])
def test_routing_that_cannot_be_read_is_named(copy: Path, name: str, content: bytes | None) -> None:
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_bytes(content)
    with pytest.raises(GenerationError, match=name):
        Router.load(copy, Manifest.load(copy))


def test_routing_never_unpickles(copy: Path) -> None:
    np.save(copy / CENTROIDS, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(GenerationError, match=CENTROIDS):
        Router.load(copy, Manifest.load(copy))

"""The manifest: every check it makes, one broken thing at a time."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import msgspec
import numpy as np
import pytest
from small_generations import SmallGeneration, build_small

from app.errors import GenerationError
from app.generation import documents, files
from app.generation.file_names import SHARDS_BY_NAME, WEIGHTS
from app.generation.manifest import Manifest, content_hash_of
from app.generation.routing import CENTROIDS, CLUSTER_SHARD, Router
from app.generation.shard_index import write_index
from app.generation.shard_part import ShardPart

SEALED_BEFORE = Path(__file__).with_name("sealed_before.json")


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


def bind(content: dict[str, Any]) -> None:
    """Give a changed manifest the content hash and the id that it would have been sealed with."""
    content["content_hash"] = content_hash_of(msgspec.convert(content, Manifest))
    content["id"] = f"{content['id'][:-8]}{content['content_hash'][:8]}"


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
        (lambda m: m.update(schema=3), "schema 3, this release reads 1 and 2"),
        (lambda m: m.update(id="latest"), "id 'latest' is malformed"),
        (lambda m: m.update(id="../" + m["id"]), "is malformed"),
        (lambda m: m.update(id=m["id"] + "\n"), "is malformed"),
        (lambda m: m.update(content_hash="0" * 64), "id and content hash differ"),
        (lambda m: m.update(content_hash=m["content_hash"][:8] + "0" * 56), "changed after it was"),
        (lambda m: m.update(clusters=2**62), "a cluster belongs to no shard"),
        (lambda m: m["model"].update(dim=0), "a vector has no dimension"),
        (lambda m: m["routing"].update(neighbours=0), "neighbours of the routing out of range"),
        (lambda m: m["routing"].update(temperature=0), "neighbours of the routing out of range"),
        (lambda m: m["files"].pop("shard-001/index.faiss"), r"index\.faiss is not listed"),
        (lambda m: m["files"].pop("routing/centroids.npy"), r"centroids\.npy is not listed"),
        (lambda m: m["files"].pop(WEIGHTS), r"trigram_weights\.npy is not listed"),
        (lambda m: m["files"].pop("shard-001/ordinals.npy"), r"ordinals\.npy is not listed"),
        (lambda m: m["files"].pop("shard-001/names.npy"), r"names\.npy is not listed"),
        (lambda m: m["files"].pop(SHARDS_BY_NAME), r"routing/names\.npy is not listed"),
        (lambda m: m["routing"]["rescoring"].update(sharing=101), "of the rescoring out of range"),
        (
            lambda m: m["routing"]["rescoring"].update(weight=-0.1),
            "weight or depth of the rescoring",
        ),
        (lambda m: m["routing"]["rescoring"].update(depth=0), "weight or depth of the rescoring"),
        (lambda m: m["routing"]["rescoring"].update(depth=1001), "depth of the rescoring out of"),
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


BOUND: dict[str, Callable[[dict[str, Any]], object]] = {
    "a file's sha256": lambda m: m["files"]["shard-001/index.faiss"].update(sha256="0" * 64),
    "a file more": lambda m: m["files"].update(x={"size": 1, "sha256": "0" * 64}),
    "the model": lambda m: m["model"].update(fingerprint="0" * 16),
    "the model's name": lambda m: m["model"].update(name="other"),
    "the documents": lambda m: m.update(documents=m["documents"] - 1),
    "a shard's kind": lambda m: m["shards"][0].update(index_kind="Flat2"),
    "a shard's recall": lambda m: m["shards"][0].update(recall=0.5),
    "a shard's memory": lambda m: m["shards"][0].update(memory_bytes=1),
    "the threshold": lambda m: m["routing"].update(threshold=0.1),
    "the rescoring": lambda m: m["routing"]["rescoring"].update(weight=0.3),
    "no rescoring": lambda m: m["routing"].pop("rescoring"),
    "the recall table": lambda m: m["routing"]["table"].pop(),
    "the canaries": lambda m: m.update(canaries=1),
}


@pytest.mark.parametrize("what", BOUND)
def test_what_was_changed_after_sealing_is_refused(copy: Path, what: str) -> None:
    """The id and content_hash are left as they were: they no longer match."""
    edit(copy, BOUND[what])
    with pytest.raises(GenerationError, match="it was changed after it was sealed"):
        Manifest.load(copy)


def test_a_file_changed_with_its_entry_is_refused(copy: Path) -> None:
    """Every checksum is right; the id is that of another content."""
    flip(copy / "shard-001/index.faiss")
    described = files.describe(copy)["shard-001/index.faiss"]
    edit(
        copy, lambda m: m["files"].update({"shard-001/index.faiss": msgspec.to_builtins(described)})
    )
    with pytest.raises(GenerationError, match="it was changed after it was sealed"):
        Manifest.load(copy)


def test_a_directory_named_as_another_generation_is_refused(copy: Path) -> None:
    """A whole generation, copied under the id of another."""
    other = copy.rename(copy.with_name("20010101T000000Z-01234567"))
    link = other.with_name("current")
    link.symlink_to(other)
    for directory in (other, link):
        with pytest.raises(GenerationError, match="is named 20010101T000000Z-01234567, but holds"):
            Manifest.load(directory)


def test_every_field_is_bound_but_for_those_that_say_when_and_from_what(copy: Path) -> None:
    """A field that is added must be covered by the content hash, or be named here."""
    free = {"schema", "id", "content_hash", "inputs_hash", "created_at", "absent"}
    derived = {"stored"}  # the sum of the shards' documents
    bound = {
        "model",
        "documents",
        "clusters",
        "shards",
        "routing",
        "canaries",
        "files",
        "withdrawn",
    }
    assert set(Manifest.__struct_fields__) == free | derived | bound
    manifest = Manifest.load(copy)
    for name in bound:
        another = {"files": {}, "withdrawn": ("one",)}.get(name)
        other = msgspec.structs.replace(manifest, **{name: another})
        assert content_hash_of(other) != manifest.content_hash, name
    edit(copy, lambda m: m.update(inputs_hash="1" * 64, created_at="2020-01-01T00:00:00+00:00"))
    Manifest.load(copy)


def test_the_content_hash_of_generations_sealed_before_stays() -> None:
    """The text that is hashed is a format: what release 0.1.0 sealed must load for ever."""
    old = msgspec.json.decode(SEALED_BEFORE.read_bytes(), type=Manifest)
    assert content_hash_of(old) == old.content_hash


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
    ["shard-001/index.faiss", "shard-001/documents.bin", CENTROIDS, CLUSTER_SHARD,
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
        "shard-002/documents.bin",
        "shard-002/ordinals.npy",
        "shard-002/trigram_counts.npy",
        "shard-002/trigrams.npy",
        "shard-002/names.npy",
    }
    gateway = {CENTROIDS, CLUSTER_SHARD, WEIGHTS, SHARDS_BY_NAME, "canaries.jsonl"}
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
    store = copy / "shard-002/documents.bin"
    store.unlink()
    documents.write(store, [])
    index = faiss.IndexFlatIP(Manifest.load(copy).model.dim)
    write_index(index, copy / "shard-002/index.faiss")

    def count(content: dict[str, Any]) -> None:
        content["stored"] -= content["shards"][2]["documents"]
        content["documents"] = min(content["documents"], content["stored"])
        content["shards"][2]["documents"] = 0
        bind(content)

    edit(copy, count)
    sealed_id = json.loads((copy / "manifest.json").read_text())["id"]
    copy = copy.rename(copy.with_name(sealed_id))
    with pytest.raises(GenerationError, match="a cluster without documents"):
        ShardPart.open(copy, 2)


def test_of_a_shard_that_is_not_there_nothing_is_needed(copy: Path) -> None:
    shutil.rmtree(copy / "shard-000")
    Manifest.load(copy).verify(copy, [3], routing=False)
    part = ShardPart.open(copy, 3, verify=True)
    part.self_query()
    part.withdraw(frozenset({"d0001"}))
    assert (part.count, part.withdrawn) == (0, frozenset())
    with pytest.raises(GenerationError, match="shard-000"):
        ShardPart.open(copy, 0, verify=True)


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

"""Sealed generations with right checksums and wrong content."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import msgspec
import numpy as np

from app.generation import canary, documents, files, shard_index
from app.generation.file_names import shard_dir
from app.generation.manifest import NAME, Manifest, content_hash_of
from app.generation.routing import CENTROIDS

Change = Callable[[Path, Manifest], dict[str, Any]]
"""Changes the files below a directory; returns what its manifest says otherwise than before."""


@contextmanager
def resealed(source: Path, out: Path, change: Change) -> Iterator[Path]:
    """A changed copy of a generation, sealed like any other; by its id it is older than all."""
    unfinished = out / ".broken"
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(source, unfinished, copy_function=os.link)
    (unfinished / NAME).unlink()
    manifest = Manifest.load(source)
    manifest = msgspec.structs.replace(manifest, **change(unfinished, manifest))
    draft = msgspec.structs.replace(
        manifest, stored=_stored(manifest), files=files.describe(unfinished)
    )
    content = content_hash_of(draft)
    stamp = f"20010101T000000Z-{content[:8]}"
    sealed = msgspec.structs.replace(draft, id=stamp, content_hash=content)
    (unfinished / NAME).write_bytes(msgspec.json.encode(sealed))
    target = out / stamp
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
    try:
        yield target
    finally:
        shutil.rmtree(target)


@contextmanager
def tampered(source: Path, out: Path, name: str) -> Iterator[Path]:
    """A copy of a generation under its id: one file changed with its entry in the manifest."""
    target = out / source.name
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(source, target, copy_function=os.link)
    file = target / name
    content = file.read_bytes()
    file.unlink()  # its other name is the right generation's
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    relist(target / NAME, name, files.sha256_of(file))
    try:
        yield target
    finally:
        shutil.rmtree(out)


def relist(manifest: Path, name: str, sha256: str) -> None:
    """Give a file another sha256 in a manifest, and leave id and content hash as they are."""
    told = json.loads(manifest.read_bytes())
    told["files"][name]["sha256"] = sha256
    manifest.unlink()
    manifest.write_text(json.dumps(told), encoding="utf-8")


def _stored(manifest: Manifest) -> int:
    return sum(shard.documents for shard in manifest.shards)


def nothing_wrong(_: Path, manifest: Manifest) -> dict[str, Any]:
    """The same content under an id of its own: no host holds it."""
    return {"canaries": manifest.canaries}


def other_dimension(directory: Path, manifest: Manifest) -> dict[str, Any]:
    """Every vector has 512 dimensions, as the manifest says; the model's have 384."""
    dim, dice = 512, np.random.default_rng(1)
    for shard in manifest.shards:
        index = faiss.IndexFlatIP(dim)
        index.add(_unit(dice.normal(size=(shard.documents, dim))))
        _write_index(directory, shard.shard, index)
    (directory / CENTROIDS).unlink()
    np.save(directory / CENTROIDS, _unit(dice.normal(size=(manifest.clusters, dim))))
    return {"model": msgspec.structs.replace(manifest.model, dim=dim)}


def other_fingerprint(_: Path, manifest: Manifest) -> dict[str, Any]:
    """Made by a model that nobody has."""
    return {"model": msgspec.structs.replace(manifest.model, fingerprint="0123456789abcdef")}


def empty_index(directory: Path, manifest: Manifest) -> dict[str, Any]:
    """The last shard holds no vector and no document, and its manifest says so."""
    *others, last = manifest.shards
    _write_index(directory, last.shard, faiss.IndexFlatIP(manifest.model.dim))
    store = directory / manifest.store(last.shard)
    store.unlink()
    documents.write(store, [])
    counted = sum(shard.documents for shard in others)
    return {
        "shards": (*others, msgspec.structs.replace(last, documents=0)),
        "documents": min(manifest.documents, counted),
    }


def wrong_canaries(directory: Path, manifest: Manifest) -> dict[str, Any]:
    """Everything is right, but the first canary asks for the answers of the second."""
    path = directory / canary.NAME
    first, second, *others = canary.read(path)
    path.unlink()
    swapped = msgspec.structs.replace(second, question=first.question)
    canary.write(path, [swapped, second, *others])
    return {"canaries": manifest.canaries}


def _unit(vectors: Any) -> Any:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(unit, dtype=np.float32)


def _write_index(directory: Path, shard: int, index: Any) -> None:
    path = directory / shard_dir(shard) / shard_index.NAME
    path.unlink()  # it is a link to the file of the right generation
    shard_index.write_index(index, path)

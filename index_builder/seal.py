"""Seal a generation: checksums, manifest last, one atomic rename."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from app.errors import GenerationError
from app.generation import files
from app.generation.manifest import NAME, SCHEMA, Manifest, ModelRef, RoutingInfo, ShardInfo
from app.generation.routing import Router
from app.generation.shard_part import ShardPart


@dataclass(frozen=True, slots=True)
class Contents:
    """What the manifest says beyond the files themselves."""

    inputs_hash: str
    model: ModelRef
    documents: int
    clusters: int
    shards: tuple[ShardInfo, ...]
    routing: RoutingInfo
    canaries: int


def content_hash(described: dict[str, files.FileInfo], contents: Contents) -> str:
    """One sha256 (hex) over all files and what the manifest says of them.

    The model counts, though no file of a generation holds it: the same vectors under another
    model's name are another generation.
    """
    digest = hashlib.sha256()
    for name, info in sorted(described.items()):
        digest.update(f"{info.sha256}  {name}\n".encode())
    digest.update(repr(replace(contents, inputs_hash="")).encode())
    return digest.hexdigest()


def seal(unfinished: Path, out: Path, contents: Contents) -> Manifest:
    """Write the manifest, open every part once as a service would, and rename into ``out``.

    Raises: GenerationError when a part cannot be opened; nothing appears in ``out`` then.
    """
    described = files.describe(unfinished)
    content = content_hash(described, contents)
    now = datetime.now(UTC)
    manifest = Manifest(
        schema=SCHEMA,
        id=f"{now:%Y%m%dT%H%M%SZ}-{content[:8]}",
        content_hash=content,
        inputs_hash=contents.inputs_hash,
        created_at=now.isoformat(timespec="seconds"),
        model=contents.model,
        documents=contents.documents,
        stored=sum(shard.documents for shard in contents.shards),
        clusters=contents.clusters,
        shards=contents.shards,
        routing=contents.routing,
        canaries=contents.canaries,
        files=described,
    )
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    (unfinished / NAME).write_bytes(text + b"\n")
    check_sealed(unfinished)
    files.sync_tree(unfinished)
    target = out / manifest.id
    if target.exists():
        raise GenerationError(f"{target} exists already: wait a second and build again")
    unfinished.rename(target)
    return manifest


def check_sealed(directory: Path) -> Manifest:
    """Open every part as a service would; raises GenerationError naming what is wrong."""
    manifest = Manifest.load(directory)
    Router.load(directory, manifest)
    for shard in range(len(manifest.shards)):
        ShardPart.open(directory, shard).self_query()
    return manifest


def existing(out: Path, inputs_hash: str) -> Manifest | None:
    """The newest sealed generation in ``out`` made from the same inputs, or None."""
    for directory in sorted(out.glob("*Z-*"), reverse=True):
        try:
            manifest = Manifest.load(directory)
        except GenerationError:
            continue
        if manifest.inputs_hash == inputs_hash:
            return manifest
    return None

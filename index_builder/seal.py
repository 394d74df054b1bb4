"""Seal a generation: checksums, manifest last, one atomic rename."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from app.errors import GenerationError
from app.generation import files
from app.generation.filtering import Filtering
from app.generation.manifest import NAME, SCHEMA, Manifest, content_hash_of
from app.generation.manifest_parts import ModelRef, RoutingInfo, ShardInfo
from app.generation.rescoring import Rescorer
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
    withdrawn: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


def seal(unfinished: Path, out: Path, contents: Contents) -> Manifest:
    """Write the manifest, open every part once as a service would, and rename into ``out``.

    Raises: GenerationError when a part cannot be opened; nothing appears in ``out`` then.
    """
    now = datetime.now(UTC)
    draft = Manifest(
        schema=SCHEMA,
        id="",
        content_hash="",
        inputs_hash=contents.inputs_hash,
        created_at=now.isoformat(timespec="seconds"),
        model=contents.model,
        documents=contents.documents,
        stored=sum(shard.documents for shard in contents.shards),
        clusters=contents.clusters,
        shards=contents.shards,
        routing=contents.routing,
        canaries=contents.canaries,
        files=files.describe(unfinished),
        withdrawn=contents.withdrawn,
        absent=contents.absent,
    )
    content = content_hash_of(draft)
    manifest = msgspec.structs.replace(
        draft, id=f"{now:%Y%m%dT%H%M%SZ}-{content[:8]}", content_hash=content
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
    Rescorer.load(directory, manifest)
    Filtering.load(directory, manifest)
    for shard in range(len(manifest.shards)):
        ShardPart.open(directory, shard).self_query()
    return manifest


def existing(out: Path, inputs_hash: str) -> Manifest | None:
    """The newest sealed generation in ``out`` made from the same inputs, or None.

    One that is not whole is passed over, so that building again is a remedy for it.
    """
    for directory in sorted(out.glob("[!.]*Z-*"), reverse=True):
        try:
            manifest = Manifest.load(directory)
            if manifest.inputs_hash == inputs_hash:
                manifest.verify(directory, range(len(manifest.shards)), routing=True)
                return manifest
        except GenerationError:
            continue
    return None

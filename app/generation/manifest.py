"""The manifest of a generation: what it holds, how it routes, and the checksum of every file.

It is written last. A directory without a manifest is unfinished, whatever else it holds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from app.errors import GenerationError
from app.generation.file_names import (
    CLUSTER_SIZES,
    FILTER_COUNTS,
    FILTER_VALUES,
    ROWS_BY_NAME,
    SHARDS_BY_NAME,
    WEIGHTS,
    WORDS,
    filter_files,
    shard_dir,
)
from app.generation.files import FileInfo, check
from app.generation.manifest_parts import (
    FEATURES,
    ModelRef,
    RoutingInfo,
    ShardInfo,
)

SCHEMA = 2
STORES = {1: "documents.sqlite", SCHEMA: "documents.bin"}
"""A shard's file of documents, by schema. What releases before this one sealed is schema 1."""
NAME = "manifest.json"
MAX_DEPTH, MAX_SHARING = 1000, 100
ID_PATTERN = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
REMEDY = (
    "stage the generation again, fetch it from the hosts (fetch_generation.yml) or build it again"
)


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A sealed generation. ``documents`` counts each once, ``stored`` with border copies.

    ``withdrawn`` are the ids that the corpus had and the build left out; ``absent`` those that were
    on the same list, and that the corpus had not. So no document of either is in the generation.
    """

    schema: int
    id: str
    content_hash: str
    inputs_hash: str
    created_at: str
    model: ModelRef
    documents: int
    stored: int
    clusters: int
    shards: tuple[ShardInfo, ...]
    routing: RoutingInfo
    canaries: int
    files: dict[str, FileInfo]
    withdrawn: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @classmethod
    def load(cls, directory: Path) -> Manifest:
        """Read and check the manifest of ``directory``; raises GenerationError."""
        path = directory / NAME
        try:
            data = path.read_bytes()
        except OSError as error:
            raise GenerationError(
                f"{directory} is not a sealed generation: {error.strerror}"
            ) from error
        try:
            manifest = msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise GenerationError(f"{path} is not a valid manifest: {error}") from error
        manifest._check(path)
        return manifest

    def _check(self, path: Path) -> None:
        def require(condition: bool, fault: str) -> None:
            if not condition:
                raise GenerationError(f"{path}: {fault}: {REMEDY}")

        known = " and ".join(map(str, STORES))
        require(self.schema in STORES, f"schema {self.schema}, this release reads {known}")
        require(bool(ID_PATTERN.fullmatch(self.id)), f"id {self.id!r} is malformed")
        require(self.id.endswith(self.content_hash[:8]), "id and content hash differ")
        named = path.parent.resolve().name
        require(
            named == self.id or not ID_PATTERN.fullmatch(named),
            f"the directory is named {named}, but holds generation {self.id}",
        )
        require(
            [shard.shard for shard in self.shards] == list(range(len(self.shards))),
            "shards are not numbered 0, 1, 2, …",
        )
        owned = sorted(cluster for shard in self.shards for cluster in shard.clusters)
        require(
            len(owned) == self.clusters and owned == list(range(len(owned))),
            "a cluster belongs to no shard or to several",
        )
        require(
            all(bool(shard.clusters) == (shard.documents > 0) for shard in self.shards),
            "a shard has documents without a cluster, or a cluster without documents",
        )
        require(
            sum(shard.documents for shard in self.shards) == self.stored
            and self.stored >= self.documents > 0,
            "the shards' documents do not add up",
        )
        require(self.model.dim > 0, "a vector has no dimension")
        require(
            self.routing.temperature > 0 and self.routing.neighbours > 0,
            "temperature or neighbours of the routing out of range",
        )
        rescoring = self.routing.rescoring
        require(
            rescoring is None
            or (
                rescoring.weight >= 0
                and 0 < rescoring.depth <= MAX_DEPTH
                and 0 <= rescoring.sharing <= MAX_SHARING
            ),
            "weight or depth of the rescoring out of range",
        )
        confidence = self.routing.confidence
        require(
            confidence is None or (rescoring is not None and len(confidence.weights) == FEATURES),
            "the confidence has no weights, or no words to weigh",
        )
        filters = self.routing.filters
        require(
            filters is None or (filters.temperature > 0 and bool(filters.fields)),
            "filters without a field, or their temperature out of range",
        )
        for name in self._needed():
            require(name in self.files, f"file {name} is not listed")
        for name in self.files:
            require(
                not name.startswith("/") and ".." not in Path(name).parts,
                f"file name {name!r} leaves the directory",
            )
        expected = content_hash_of(self)
        require(
            self.content_hash == expected,
            f"it was changed after it was sealed: content_hash is {self.content_hash}, its content "
            f"gives {expected}",
        )

    def _needed(self) -> Iterator[str]:
        """What is read of every generation, and must therefore have a checksum here."""
        yield from ("canaries.jsonl", "routing/centroids.npy", "routing/cluster_shard.npy")
        for shard in range(len(self.shards)):
            yield from (f"{shard_dir(shard)}/index.faiss", self.store(shard))
        own: list[str] = []
        if rescoring := self.routing.rescoring:
            yield WEIGHTS
            own += WORDS
            if rescoring.sharing:
                yield SHARDS_BY_NAME
                own.append(ROWS_BY_NAME)
        if filters := self.routing.filters:
            yield from (FILTER_COUNTS, FILTER_VALUES, CLUSTER_SIZES)
            for field in range(len(filters.fields)):
                own += filter_files(field)
        for shard in range(len(self.shards)):
            yield from (f"{shard_dir(shard)}/{name}" for name in own)

    def store(self, shard: int) -> str:
        """A shard's file of documents."""
        return f"{shard_dir(shard)}/{STORES[self.schema]}"

    def parts(self, shards: Iterable[int], *, routing: bool) -> dict[str, FileInfo]:
        """The files that a host with these shards, or a gateway (``routing``), must hold."""
        prefixes = tuple(f"{shard_dir(shard)}/" for shard in shards)
        if routing:
            prefixes += ("routing/", "canaries.jsonl")
        return {name: info for name, info in self.files.items() if name.startswith(prefixes)}

    def verify(self, directory: Path, shards: Iterable[int], *, routing: bool) -> None:
        """Check sizes and sha256 of those parts; raises GenerationError naming the file.

        Of a shard that the generation does not have there is nothing to check.
        """
        for name, info in self.parts(shards, routing=routing).items():
            check(directory, name, info, GenerationError, REMEDY)


def content_hash_of(manifest: Manifest) -> str:
    """One sha256 (hex) over the path and sha256 of every file and what the manifest says of them.

    The manifest alone is enough to check it, so a host that holds one shard can. The model counts,
    though no file of a generation holds it: the same vectors under another model's name are another
    generation. ``created_at``, ``inputs_hash`` and ``absent`` do not: two builds may give the same
    content.

    The text that is hashed is a format: sealed generations depend on it (decision 27).
    """
    digest = hashlib.sha256()
    for name, info in sorted(manifest.files.items()):
        digest.update(f"{info.sha256}  {name}\n".encode())
    described = (
        f"Contents(inputs_hash='', model={manifest.model!r}, documents={manifest.documents!r}, "
        f"clusters={manifest.clusters!r}, shards={manifest.shards!r}, "
        f"routing={manifest.routing!r}, canaries={manifest.canaries!r})"
        f"{f', withdrawn={manifest.withdrawn!r}' if manifest.withdrawn else ''}"
    )
    digest.update(described.encode())
    return digest.hexdigest()

"""Real generations of a few documents: vectors are hashes of the texts, the artefact is a fake."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from encoder_fakes import DIM, make_artefact, vector_of
from numpy.typing import NDArray

from app.config import GatewayConfig, ShardConfig
from app.generation.manifest import Manifest
from index_builder.corpus.document import Document
from index_builder.corpus.ingest import ingest_documents
from index_builder.inputs import Inputs
from index_builder.pipeline import build
from index_builder.progress import Progress
from index_builder.settings import Settings
from index_builder.workers import HERE, Workers

TEXTS = tuple(f"question number {number}" for number in range(60))


@dataclass(frozen=True)
class SmallGeneration:
    """A sealed generation and what it was built from; row i of ``vectors`` is document i."""

    directory: Path
    manifest: Manifest
    artefact: Path
    documents: list[Document]
    vectors: NDArray[np.float32]
    new: bool


def silent() -> Progress:
    return Progress(stream=StringIO())


def documents_of(texts: Sequence[str]) -> list[Document]:
    """Every second document has an answer, every third metadata."""
    return [
        Document(
            id=f"d{number:04}",
            text=text,
            answer=None if number % 2 else f"answer {number}",
            metadata={"number": number, "word": "né"} if number % 3 == 0 else None,
        )
        for number, text in enumerate(texts)
    ]


def vectors_of(texts: Sequence[str]) -> NDArray[np.float32]:
    return np.stack([vector_of(text) for text in texts])


def build_small(
    root: Path,
    texts: Sequence[str] = TEXTS,
    *,
    artefact: Path | None = None,
    vectors: NDArray[np.float32] | None = None,
    labels: NDArray[np.int32] | None = None,
    documents: list[Document] | None = None,
    base: Path | None = None,
    labelled: Path | None = None,
    workers: Workers = HERE,
    **settings: Any,
) -> SmallGeneration:
    """Build in ``root`` (models/, corpus/, generations/); 3 shards and exact search by default."""
    artefact = artefact or make_artefact(root / "models", b"small")
    documents = documents_of(texts) if documents is None else documents
    texts = [document.text for document in documents]
    vectors = vectors_of(texts) if vectors is None else vectors
    assert vectors.shape == (len(texts), DIM)
    out = root / "generations"
    manifest, new = build(
        Inputs(
            ingest_documents(documents, root / "corpus"),
            artefact,
            vectors=vectors,
            labels=labels,
            base=base,
            labelled=labelled,
        ),
        Settings(**{"shards": 3, "index": "exact", "sample": 50, **settings}),
        out,
        root / "work",
        workers,
        silent(),
    )
    return SmallGeneration(out / manifest.id, manifest, artefact, documents, vectors, new)


def link(links: Path, current: Path, previous: Path | None = None) -> Path:
    """A role's directory with its links; returns it."""
    links.mkdir(parents=True, exist_ok=True)
    (links / "current").symlink_to(current)
    if previous is not None:
        (links / "previous").symlink_to(previous)
    return links


def flip(links: Path, name: str, target: Path) -> None:
    """Point a link elsewhere as the update does: a new link, renamed over the old one."""
    new = links / f".{name}-new"
    new.symlink_to(target)
    new.replace(links / name)


def shard_config(links: Path, shard: int, drain_file: Path | None = None) -> ShardConfig:
    return ShardConfig.read(
        {
            "ASKFLEET_HOST": "shard-a",
            "ASKFLEET_SHARD": str(shard),
            "ASKFLEET_LINKS": str(links),
            "ASKFLEET_DRAIN_FILE": str(drain_file or links / "drain"),
        }
    )


def gateway_config(links: Path, shards: int, drain_file: Path | None = None) -> GatewayConfig:
    return GatewayConfig.read(
        {
            "ASKFLEET_HOST": "gateway-1",
            "ASKFLEET_LINKS": str(links),
            "ASKFLEET_DRAIN_FILE": str(drain_file or links / "drain"),
            "ASKFLEET_ENCODER_URL": "http://encoder",
            "ASKFLEET_SHARD_URLS": ",".join(f"http://shard-{n}" for n in range(shards)),
        }
    )

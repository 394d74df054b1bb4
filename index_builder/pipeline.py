"""corpus + model -> sealed generation, on one screen."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.errors import BuildError
from app.generation import canary, documents, files, shard_index
from app.generation.engine import open_engine
from app.generation.manifest import Manifest, ModelRef, ShardInfo, shard_dir
from app.generation.model import Model
from app.generation.routing import CENTROIDS, CLUSTER_SHARD, Router
from app.generation.shard_index import ShardIndex
from index_builder import evaluate
from index_builder.border import border_copies
from index_builder.canaries import make_canaries
from index_builder.cluster import Clusters, cluster, cluster_count, kept
from index_builder.corpus.ingest import Ingested
from index_builder.document_rows import DocumentRows
from index_builder.embed import embed
from index_builder.placement import place
from index_builder.progress import Progress
from index_builder.seal import Contents, existing, seal
from index_builder.shards import build_index, choose_kind

BUILDER = 3
"""Raised when the same inputs are to give another generation."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What shapes a generation, beside corpus and model.

    Attributes:
        shards: how many.
        index: auto, exact, or a FAISS factory string.
        storage: stored documents over documents, at most; 1 means no border copies.
        recall_at_1: target against exact search.
        recall_at_10: target against exact search.
        sample: questions to measure with.
        seed: of everything random.
    """

    shards: int
    index: str = "auto"
    storage: float = 1.25
    recall_at_1: float = 0.995
    recall_at_10: float = 0.98
    sample: int = 2000
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a build starts from; see ``build``.

    ``labels`` and ``vectors`` come from course-project files; ``questions`` are real questions
    to measure recall with, instead of leaving documents out one at a time.
    """

    corpus: Ingested
    model: Path
    questions: tuple[str, ...] = ()
    labels: NDArray[np.int32] | None = None
    vectors: NDArray[np.float32] | None = None


def build(
    inputs: Inputs,
    settings: Settings,
    out: Path,
    work: Path,
    processes: int,
    progress: Progress,
) -> tuple[Manifest, bool]:
    """Build and seal a generation, or find the one that the same inputs made before.

    Returns: its manifest, and whether it is new.
    Raises: AskfleetError of the step that failed; ``out`` is as before then.
    """
    out.mkdir(parents=True, exist_ok=True)
    model = Model.load(inputs.model)
    inputs_hash = _inputs_hash(inputs, settings, model.fingerprint)
    if found := existing(out, inputs_hash):
        return found, False

    vectors = inputs.vectors
    if vectors is None:
        vectors = embed(inputs.corpus, inputs.model, work, processes=processes, progress=progress)
    progress.say("clustering")
    clusters = _clusters(vectors, inputs.labels, settings)
    cluster_shard = place(
        clusters.sizes, clusters.affinity, clusters.centroids, settings.shards, settings.seed
    )
    stored = _stored(vectors, clusters, cluster_shard, settings)

    with files.sealing(out) as unfinished:
        rows = DocumentRows(inputs.corpus.documents)
        shards = _write_shards(unfinished, vectors, stored, cluster_shard, rows, settings, progress)
        indexes = [
            ShardIndex.load(
                unfinished / shard_dir(info.shard) / shard_index.NAME,
                dim=model.dim,
                count=info.documents,
            )
            for info in shards
        ]
        progress.say("measuring recall against exact search")
        sample = _sample(inputs, vectors, settings)
        routing = evaluate.choose_routing(
            sample,
            evaluate.found_by(sample, indexes, stored),
            clusters.centroids,
            cluster_shard,
            (settings.recall_at_1, settings.recall_at_10),
        )
        router = Router(
            clusters.centroids,
            cluster_shard,
            settings.shards,
            routing.temperature,
            routing.neighbours,
            routing.threshold,
        )
        (unfinished / "routing").mkdir()
        np.save(unfinished / CENTROIDS, clusters.centroids, allow_pickle=False)
        np.save(unfinished / CLUSTER_SHARD, cluster_shard, allow_pickle=False)
        canaries = make_canaries(rows, vectors, router, indexes, stored)
        canary.write(unfinished / canary.NAME, canaries)
        progress.say("sealing")
        contents = Contents(
            inputs_hash=inputs_hash,
            model=ModelRef(model.fingerprint, model.name, model.dim),
            documents=len(vectors),
            clusters=len(clusters.centroids),
            shards=shards,
            routing=routing,
            canaries=len(canaries),
        )
        return seal(unfinished, out, contents), True


def _clusters(
    vectors: NDArray[np.float32], labels: NDArray[np.int32] | None, settings: Settings
) -> Clusters:
    if labels is not None:
        return kept(vectors, labels)
    return cluster(vectors, cluster_count(len(vectors), settings.shards), settings.seed)


def _stored(
    vectors: NDArray[np.float32],
    clusters: Clusters,
    cluster_shard: NDArray[np.int32],
    settings: Settings,
) -> list[NDArray[np.int64]]:
    """Per shard the ordinals it stores, ascending: its own documents and border copies."""
    home = cluster_shard[clusters.labels]
    budget = int((settings.storage - 1.0) * len(vectors)) if settings.shards > 1 else 0
    copies = border_copies(vectors, clusters.centroids, cluster_shard, home, budget)
    return [
        np.sort(np.concatenate([np.flatnonzero(home == shard), copies[shard]])).astype(np.int64)
        for shard in range(settings.shards)
    ]


def _write_shards(
    unfinished: Path,
    vectors: NDArray[np.float32],
    stored: list[NDArray[np.int64]],
    cluster_shard: NDArray[np.int32],
    rows: DocumentRows,
    settings: Settings,
    progress: Progress,
) -> tuple[ShardInfo, ...]:
    infos = []
    total = sum(map(len, stored))
    kind = choose_kind(total // len(stored), vectors.shape[1], settings.index)
    with progress.bar("indexing", total, "documents") as bar:
        for shard, ordinals in enumerate(stored):
            part = unfinished / shard_dir(shard)
            part.mkdir()
            built = build_index(vectors[ordinals], kind, settings.seed)
            shard_index.write_index(built.index, part / shard_index.NAME)
            documents.write(part / documents.NAME, rows.stream(ordinals))
            infos.append(
                ShardInfo(
                    shard=shard,
                    documents=len(ordinals),
                    clusters=tuple(np.flatnonzero(cluster_shard == shard).tolist()),
                    index_kind=built.kind,
                    exact=built.exact,
                    recall=built.recall,
                    memory_bytes=sum(path.stat().st_size for path in part.iterdir()),
                )
            )
            bar.update(len(ordinals))
    return tuple(infos)


def _sample(inputs: Inputs, vectors: NDArray[np.float32], settings: Settings) -> evaluate.Sample:
    if not inputs.questions:
        return evaluate.leave_one_out(vectors, settings.sample, settings.seed)
    asked = open_engine(inputs.model).encode(inputs.questions[: settings.sample])
    return evaluate.questions(vectors, asked)


def _inputs_hash(inputs: Inputs, settings: Settings, fingerprint: str) -> str:
    digest = hashlib.sha256()
    parts = [str(BUILDER), inputs.corpus.digest, fingerprint, *inputs.questions]
    parts.append(msgspec.json.encode(asdict(settings)).decode())
    digest.update("\n".join(parts).encode())
    for array in (inputs.labels, inputs.vectors):
        digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def check_settings(settings: Settings) -> None:
    """Raises BuildError for a setting outside its range."""
    if not 1 <= settings.shards <= 1000:
        raise BuildError(f"--shards {settings.shards}: use 1 to 1000")
    if not 1.0 <= settings.storage <= 3.0:
        raise BuildError(f"--storage {settings.storage}: use 1.0 (no copies) to 3.0")
    for name, value in (("1", settings.recall_at_1), ("10", settings.recall_at_10)):
        if not 0.5 <= value <= 1.0:
            raise BuildError(f"--recall-at-{name} {value}: use 0.5 to 1.0")
    if settings.sample < 1:
        raise BuildError(f"--sample {settings.sample}: use at least 1")

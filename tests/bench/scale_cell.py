"""One build and its questions: a corpus of vectors cut into so many shards, as production is."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.generation import shard_index
from app.generation.file_names import shard_dir
from app.generation.manifest import Manifest
from app.generation.merge import merge
from app.generation.routing import CENTROIDS, CLUSTER_SHARD, Router
from app.generation.rows import ordinals as ordinals_of
from app.generation.shard_index import ShardIndex
from app.generation.shard_part import open_store
from index_builder.corpus.document import Document
from index_builder.corpus.ingest import ingest_documents
from index_builder.evaluate import chosen_row, questions
from index_builder.inputs import Inputs
from index_builder.pipeline import build
from index_builder.progress import Bar, Progress
from index_builder.settings import Settings
from index_builder.texts import Texts
from index_builder.workers import HERE

VECTORS, QUESTIONS, TRUTH, BUILD = "vectors.npy", "questions.npy", "truth.npy", "build.json"
K = 10
WARM_UP = 50
AT_10 = 0.98


@dataclass(slots=True)
class StepClock(Progress):
    """Progress that also keeps the CPU seconds of each step of a build."""

    label: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    step: str = "reading"
    began: float = field(default_factory=time.process_time)

    def enter(self, step: str) -> None:
        now = time.process_time()
        self.seconds[self.step] = self.seconds.get(self.step, 0.0) + now - self.began
        self.step, self.began = step, now

    def say(self, message: str) -> None:
        if message in {"clustering", "measuring recall against exact search", "sealing"}:
            self.enter(message.split()[0])
        Progress.say(self, f"{self.label}: {message}")

    @contextmanager
    def bar(self, what: str, total: int, unit: str, *, done: int = 0) -> Iterator[Bar]:
        self.enter(what)
        with Progress.bar(self, what, total, unit, done=done) as bar:
            yield bar


def write_truth(corpus: Path) -> None:
    """Answer the questions of a corpus exactly."""
    vectors = np.load(corpus / VECTORS, mmap_mode="r")
    asked = np.load(corpus / QUESTIONS)
    np.save(corpus / TRUTH, questions(vectors, Texts.of(len(vectors)), asked).truth)


def build_cell(corpus: Path, shards: int, model: Path, storage: float | None, seed: int) -> None:
    """Build and seal a generation of ``corpus``; what it cost goes to build.json beside it."""
    cell = corpus / str(shards)
    vectors = np.load(corpus / VECTORS, mmap_mode="r")
    # A build needs documents; theirs are short, for documents are not what is measured.
    named = (Document(f"d{place}", f"document {place}") for place in range(len(vectors)))
    ingested = ingest_documents(named, cell / "corpus")
    clock = StepClock(label=f"{corpus.name}, {shards} shards")
    before, wall = time.process_time(), time.monotonic()
    manifest, _ = build(
        Inputs(ingested, model, vectors=vectors),
        Settings(shards=shards, storage=storage, seed=seed),
        cell / "generations",
        cell / "work",
        HERE,
        clock,
    )
    clock.enter("")
    cost = {
        "generation": manifest.id,
        "cpu_s": time.process_time() - before,
        "wall_s": time.monotonic() - wall,
        "steps_cpu_s": clock.seconds,
        "peak_rss_bytes": peak_rss(),
    }
    (cell / BUILD).write_text(json.dumps(cost))


def ask_cell(corpus: Path, shards: int) -> dict[str, Any]:
    """Ask a sealed generation every question: routing, the asked shards one by one, merge."""
    cell = corpus / str(shards)
    cost = json.loads((cell / BUILD).read_text())
    directory = cell / "generations" / cost["generation"]
    manifest = Manifest.load(directory)
    router = Router.load(directory, manifest)
    indexes, ordinals = [], []
    for info in manifest.shards:
        part = directory / shard_dir(info.shard)
        ordinals.append(
            ordinals_of(open_store(directory, manifest, info.shard), np.arange(info.documents))
        )
        path, rank = part / shard_index.NAME, ordinals[-1].__getitem__
        indexes.append(
            ShardIndex.load(path, dim=manifest.model.dim, count=info.documents, rank=rank)
        )
    asked, truth = np.load(corpus / QUESTIONS), np.load(corpus / TRUTH)
    for question in asked[:WARM_UP]:
        answer(question[None, :], router, indexes, ordinals)
    answers, fans, spent = [], [], []
    for question in asked:
        best, fan_out, clocks = answer(question[None, :], router, indexes, ordinals)
        answers.append(best)
        fans.append(fan_out)
        spent.append(np.diff(clocks) * 1e3)
    routing, searching, merging = np.array(spent).T
    total = np.sum(spent, axis=1)
    index_bytes = [
        (directory / shard_dir(info.shard) / shard_index.NAME).stat().st_size
        for info in manifest.shards
    ]
    routing_bytes = sum((directory / name).stat().st_size for name in (CENTROIDS, CLUSTER_SHARD))
    chosen = chosen_row(manifest.routing)
    pairs = list(zip(answers, truth.tolist(), strict=True))
    return {
        "documents": manifest.documents,
        "shards": shards,
        "clusters": manifest.clusters,
        "index": sorted({info.index_kind for info in manifest.shards}),
        "stored": manifest.stored / manifest.documents,
        "threshold": chosen.threshold,
        "sample": [chosen.fan_out, chosen.recall_at_1, chosen.recall_at_10],
        "sample_fan_out_for_recall_at_10": next(
            (row.fan_out for row in manifest.routing.table if row.recall_at_10 >= AT_10), None
        ),
        "questions": len(asked),
        "fan_out": float(np.mean(fans)),
        "fan_out_p95": float(np.quantile(fans, 0.95)),
        "recall_at_1": float(np.mean([a[:1] == t[:1] for a, t in pairs])),
        "recall_at_10": float(np.mean([len(set(a) & set(t)) / K for a, t in pairs])),
        "cpu_ms": float(np.median(total)),
        "cpu_mean_ms": float(np.mean(total)),
        "routing_ms": float(np.median(routing)),
        "search_ms": float(np.median(searching / fans)),
        "merge_ms": float(np.median(merging)),
        "memory_bytes": sum(index_bytes) + routing_bytes,
        "memory_per_document": (sum(index_bytes) + routing_bytes) / manifest.documents,
        "largest_shard_bytes": max(index_bytes),
        "routing_bytes": routing_bytes,
        "build": cost,
    }


def answer(
    question: NDArray[np.float32],
    router: Router,
    indexes: list[ShardIndex],
    ordinals: list[NDArray[np.int64]],
) -> tuple[list[int], int, tuple[float, float, float, float]]:
    """The ten nearest documents, how many shards were asked, and the CPU clock between steps."""
    start = time.thread_time()
    shards = np.flatnonzero(router.probe(question)[0]).tolist()
    routed = time.thread_time()
    hits = [indexes[shard].search(question, K) for shard in shards]
    searched = time.thread_time()
    real = [hit.rows[0] >= 0 for hit in hits]
    found = np.concatenate(
        [
            ordinals[shard][hit.rows[0][there]]
            for shard, hit, there in zip(shards, hits, real, strict=True)
        ]
    )
    scores = np.concatenate([hit.scores[0][there] for hit, there in zip(hits, real, strict=True)])
    best = merge(found.tolist(), scores.tolist(), K)
    return found[best].tolist(), len(shards), (start, routed, searched, time.thread_time())


def peak_rss() -> int:
    """The most memory this process ever had, in bytes; getrusage would count its parent's too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))

"""An engine without a model, and a small command that embeds with it; workers import both."""

import hashlib
import os
import sys
import time
from pathlib import Path

import numpy as np

from index_builder import embed as embedding
from index_builder.corpus.document import Document
from index_builder.corpus.ingest import Ingested, ingest_documents
from index_builder.progress import Progress
from index_builder.workers import open_workers

DIM = 8


def vector_of(text):
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    row = np.random.default_rng(seed).standard_normal(DIM)
    return (row / np.linalg.norm(row)).astype(np.float32)


class FakeEngine:
    fingerprint = "fake"
    dim = DIM

    def __init__(self, directory, delay=0.0):
        self._log, self._delay = directory / "encoded.log", delay

    def encode(self, texts, side="query"):
        assert side == "document", "a corpus is encoded as documents"
        time.sleep(self._delay)
        with self._log.open("a") as log:
            log.write("".join(f"{text}\n" for text in texts))
        return np.stack([vector_of(text) for text in texts])


def open_fake(directory):
    return FakeEngine(directory)


def open_slow(directory):
    return FakeEngine(directory, delay=0.2)


class DyingEngine(FakeEngine):
    def encode(self, texts, side="query"):
        if any("question 030" in text for text in texts):
            os._exit(9)
        return super().encode(texts, side)


def open_dying(directory):
    return DyingEngine(directory)


def corpus_of(workdir: Path, count: int) -> Ingested:
    documents = (Document(id=str(n), text=f"question {n:04}") for n in range(count))
    return ingest_documents(documents, workdir)


if __name__ == "__main__":
    workdir, count, processes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    embedding.CHUNK = 10
    with open_workers(processes) as workers:
        embedding.embed(
            corpus_of(workdir, count),
            workdir,
            workdir,
            workers=workers,
            progress=Progress(interval=0.0),
            engine_factory=open_slow,
        )

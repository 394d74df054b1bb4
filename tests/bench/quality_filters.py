"""How good filtered answers are: against exact search among what passes (make eval-filters).

A corpus whose metadata has a field ``set`` (make demo has one) is built with a field ``lot`` drawn
by lot beside it. Its documents are asked as questions, moved a little so that they are no
documents, under each set and under parts of the corpus drawn by lot.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from app.generation.routing import Probe
from index_builder.corpus.ingest import ingest, ingest_documents
from index_builder.corpus.store import read_documents
from index_builder.embed import embed
from index_builder.filterable import wanted_fields
from index_builder.inputs import Inputs
from index_builder.pipeline import build
from index_builder.progress import Progress
from index_builder.replay import Replay
from index_builder.settings import Settings
from index_builder.workers import open_workers

QUESTIONS = 500
LOTS = 10_000
K = 10
PROBES: tuple[Probe, ...] = ("auto", "all")


def filters(metadata: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    sets = sorted({one["set"] for one in metadata if "set" in one})
    yield from ({"set": name} for name in sets)
    for part in (0.5, 0.1, 0.01, 0.001):
        yield {"lot": {"lt": int(LOTS * part)}}
    yield {"set": sets[0], "lot": {"lt": LOTS // 10}}


def passes(metadata: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(
        metadata["lot"] < value["lt"] if name == "lot" else metadata.get(name) == value
        for name, value in wanted.items()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="where the generation goes")
    parser.add_argument("--shards", type=int, default=4)
    arguments = parser.parse_args()
    progress, work = Progress(), arguments.out / ".work"
    draw = np.random.default_rng(5)
    plain = ingest([arguments.corpus], work / "corpus", 0.001, progress)
    documents = [
        replace(one, metadata={**(one.metadata or {}), "lot": int(draw.integers(LOTS))})
        for one in read_documents(plain.documents)
    ]
    corpus = ingest_documents(documents, work / "lots")
    settings = Settings(shards=arguments.shards, filterable=wanted_fields("set,lot"))
    inputs = Inputs(corpus, arguments.model)
    with open_workers(2) as workers:
        vectors = embed(corpus, arguments.model, work, workers=workers, progress=progress)
        manifest, _ = build(inputs, settings, arguments.out, work, workers, progress)
    replay = Replay(arguments.out / manifest.id)
    asked = vectors[draw.choice(len(vectors), min(QUESTIONS, len(vectors)), replace=False)]
    moved = draw.normal(size=asked.shape).astype(np.float32)
    asked = asked + 0.3 * moved / np.linalg.norm(moved, axis=1, keepdims=True)
    asked = np.ascontiguousarray(asked / np.linalg.norm(asked, axis=1, keepdims=True))
    metadata = [one.metadata or {} for one in documents]
    print(
        f"{'filter':<42}{'documents':>10}  {'probe':<6}{'recall@1':>9}{'recall@10':>10}"
        f"{'shards':>8}{'CPU ms a shard':>16}"
    )
    for wanted in filters(metadata):
        rows = np.flatnonzero([passes(one, wanted) for one in metadata])
        own = np.ascontiguousarray(vectors[rows])
        k = min(K, len(rows))
        nearest = faiss.knn(asked, own, k, faiss.METRIC_INNER_PRODUCT)[1]
        truth = [[documents[place].id for place in rows[row].tolist()] for row in nearest]
        name = str(wanted)
        for probe in PROBES:
            begun = time.process_time()
            found = replay.search(asked, K, probe, (), wanted)
            spent = (time.process_time() - begun) / len(asked) / found.fan_out * 1e3
            pairs = list(zip(found.ids, truth, strict=True))
            first = np.mean([got[:1] == right[:1] for got, right in pairs])
            ten = np.mean([len(set(got) & set(right)) / k for got, right in pairs])
            print(
                f"{name:<42}{len(rows):>10,}  {probe:<6}{first:>9.4f}{ten:>10.4f}"
                f"{found.fan_out:>8.2f}{spent:>16.3f}",
                flush=True,
            )
            name = ""


if __name__ == "__main__":
    main()

"""``python -m index_builder evaluate``: a corpus against labelled questions and exact search."""

from __future__ import annotations

import argparse
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.generation.engine import open_engine
from app.generation.routing import Probe
from app.generation.shard_part import Hit
from index_builder.build_options import measured
from index_builder.choose_weight import WEIGHTS
from index_builder.corpus.ingest import Ingested, ingest
from index_builder.corpus.options import add_reading, chosen_reading
from index_builder.encoded import encoded
from index_builder.evaluate import K, questions
from index_builder.inputs import Inputs
from index_builder.labelled import Labelled, quality, read_labelled
from index_builder.pipeline import build
from index_builder.progress import Progress
from index_builder.replay import Replay, Replayed
from index_builder.settings import Settings, check_settings
from index_builder.without import Left
from index_builder.workers import open_workers

PROBES: tuple[Probe, ...] = ("auto", "all")


def add_evaluate(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "evaluate",
        help="build from a labelled corpus and measure: hit@1, recall@10, nDCG@10, fan-out",
    )
    parser.add_argument("--corpus", type=Path, required=True, metavar="FILE")
    add_reading(parser)
    parser.add_argument("--queries", type=Path, required=True, metavar="FILE", help="id, text")
    parser.add_argument(
        "--qrels", type=Path, required=True, metavar="FILE", help="query-id, corpus-id, grade (TSV)"
    )
    parser.add_argument("--model", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument(
        "--index", default="auto", help="auto, lean, exact, or a FAISS factory string"
    )
    parser.add_argument("--storage", type=measured, default="auto", help="auto, or a ratio")
    parser.add_argument("--also-search", choices=("answer",), default="")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    settings = Settings(
        shards=arguments.shards,
        index=arguments.index,
        storage=arguments.storage,
        also_search=arguments.also_search,
    )
    check_settings(settings)
    progress = Progress()
    labelled = read_labelled(arguments.queries, arguments.qrels)
    work = arguments.out / ".work"
    corpus = ingest([arguments.corpus], work / "corpus", 0.001, progress, chosen_reading(arguments))
    names = _names(corpus.documents)
    labelled.require(frozenset(names), arguments.corpus, _left_out(corpus))
    with open_workers(max(arguments.processes, 1)) as workers:
        vectors, texts = encoded(
            corpus, Left(corpus), arguments.model, work, workers, progress,
            answers=bool(settings.also_search),
        )  # fmt: skip
        manifest, _ = build(
            Inputs(corpus, arguments.model), settings, arguments.out, work, workers, progress
        )
    asked = open_engine(arguments.model).encode(labelled.questions)
    truth = questions(vectors, texts, asked)
    documents = np.where(truth.truth >= 0, texts.owners[truth.truth], -1)
    replay = Replay(arguments.out / manifest.id)
    kinds = ", ".join(sorted({shard.index_kind for shard in manifest.shards}))
    print(
        f"{manifest.documents:,} documents, {len(asked):,} questions, {len(manifest.shards)} shards"
        f" ({kinds}), stored {manifest.stored / manifest.documents:.3f}x"
    )
    print(
        f"{'':<24}{'hit@1':>8}{'recall@10':>11}{'nDCG@10':>9}{'asked':>7}"
        f"{'exact@1':>9}{'exact@10':>10}{'same ids':>10}"
    )
    exact_ids = [[names[place] for place in row if place >= 0] for row in documents.tolist()]
    for probe in PROBES:
        _print_row(f"probe={probe}", replay.search(asked, K, probe, labelled.questions), labelled)
    for probe in PROBES:
        by_score = replay.search(asked, K, probe)
        _print_row(f"probe={probe} rescore=0", by_score, labelled, documents)
    if manifest.routing.rescoring is not None:
        for weight in WEIGHTS:
            other = Replay(arguments.out / manifest.id, weight=weight)
            found = other.search(asked, K, "auto", labelled.questions)
            _print_row(f"--rescore-weight {weight}", found, labelled)
    measured = quality(exact_ids, labelled.relevant)
    print(
        f"{'exact search':<24}{measured.hit_at_1:>8.4f}{measured.recall_at_10:>11.4f}"
        f"{measured.ndcg_at_10:>9.4f}"
    )
    return 0


def _print_row(
    name: str, replayed: Replayed, labelled: Labelled, truth: NDArray[np.int64] | None = None
) -> None:
    """One row; against exact search only where answers are ordered as there, by score alone."""
    measured = quality(replayed.ids, labelled.relevant)
    row = (
        f"{name:<24}{measured.hit_at_1:>8.4f}{measured.recall_at_10:>11.4f}"
        f"{measured.ndcg_at_10:>9.4f}{replayed.fan_out:>7.3f}"
    )
    if truth is not None:
        at_1, at_10, same = against_exact(replayed.hits, truth)
        row += f"{at_1:>9.4f}{at_10:>10.4f}{same:>6,} of {len(truth):,}"
    print(row)


def against_exact(answers: list[list[Hit]], truth: NDArray[np.int64]) -> tuple[float, float, int]:
    """Recall@1 and @10 against exact search, and how many lists are equal.

    ``truth`` are ordinals (m, 10), -1 where there are fewer documents.
    """
    first = ten = same = 0.0
    for hits, padded in zip(answers, truth.tolist(), strict=True):
        right = [ordinal for ordinal in padded if ordinal >= 0]
        got = [hit.row.ordinal for hit in hits]
        first += got[:1] == right[:1]
        ten += len(set(got) & set(right)) / len(right)
        same += got == right
    return first / len(truth), ten / len(truth), int(same)


def _left_out(corpus: Ingested) -> str:
    """For a message about a record that is not there."""
    return f" (left out of it: {'; '.join(corpus.notes)})" if corpus.notes else ""


def _names(documents: Path) -> list[str]:
    """The documents' ids, by ordinal."""
    with closing(sqlite3.connect(documents)) as connection:
        return [name for (name,) in connection.execute("SELECT id FROM documents ORDER BY ordinal")]

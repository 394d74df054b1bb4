"""``make bench-scale``: how cost and quality grow with documents and shards, on drawn vectors."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import scale_cell
import synthetic
from numpy.typing import NDArray
from scale_chart import draw
from scale_table import exponents, table

from index_builder.build_options import measured
from index_builder.corpus.ingest import ingest
from index_builder.embed import embed
from index_builder.inputs import BUILDER
from index_builder.progress import Progress
from index_builder.settings import Settings
from index_builder.workers import open_workers

RECIPE = 1
"""Raised when the same seed is to give other vectors, so that nothing stale is reused."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

Call = tuple[int, Callable[..., Any], tuple[Any, ...]]
"""How many documents it is about, and what to call with which arguments."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Vectors on disk, with questions and their exact answers."""

    directory: Path
    kind: str
    documents: int


def main() -> None:
    """Build, ask, and write down; what is built already is not built again."""
    arguments = _arguments()
    os.environ |= ONE_THREAD  # of the workers: CPU time is then work, never threads that wait
    progress = Progress()
    corpora = _corpora(arguments, progress)
    cells = [(one, shards) for one in corpora for shards in sorted(arguments.shards, reverse=True)]
    if arguments.built_only:
        cells = [cell for cell in cells if _is_built(*cell)]
    else:
        _build(corpora, cells, arguments, progress)
    asking = [
        (one.documents, scale_cell.ask_cell, (one.directory, shards)) for one, shards in cells
    ]
    results = _run("asking", asking, 1, progress)
    rows = [{"kind": one.kind} | result for (one, _), result in zip(cells, results, strict=True)]

    real = corpora[0].documents
    report = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": asdict(Settings(0, storage=arguments.storage, seed=arguments.seed)),
        "recipe": RECIPE,
        "likeness": {one.kind: _likeness(one) for one in corpora if one.documents == real},
        "exponents": exponents(rows),
        "rows": rows,
    }
    path = arguments.out / f"scale-{datetime.now(UTC):%Y-%m-%d}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    draw(rows, report["exponents"], arguments.out / "scale.png")
    print(table(rows, report["likeness"]))
    print(f"\n{path} and {arguments.out / 'scale.png'} written")


def _corpora(arguments: argparse.Namespace, progress: Progress) -> list[Corpus]:
    """The real vectors, less those that are questions; as many drawn ones; and every size."""
    work: Path = arguments.out / ".work"
    ingested = ingest([arguments.corpus], work / "corpus", progress=progress)
    with open_workers(os.cpu_count() or 1) as workers:
        real = np.array(embed(ingested, arguments.model, work, workers=workers, progress=progress))
    real = real[np.random.default_rng(arguments.seed).permutation(len(real))]
    count = arguments.questions
    like_real = len(real) - count
    recipe = synthetic.fit(real, arguments.seed)
    made_by = f"recipe-{RECIPE}-builder-{BUILDER}-seed-{arguments.seed}"
    root = work / f"{made_by}-storage-{arguments.storage}-questions-{count}"
    corpora = [Corpus(root / f"real-{like_real}", "real", like_real)]
    _write(corpora[0], iter([real[:like_real]]), real[like_real:])
    for size in sorted({like_real, *arguments.sizes}):
        corpora.append(Corpus(root / f"synthetic-{size}", "synthetic", size))
        progress.say(f"drawing {size:,} vectors")
        _write(corpora[-1], recipe.documents(size), recipe.questions(count))
    return corpora


def _is_built(corpus: Corpus, shards: int) -> bool:
    built = (corpus.directory / str(shards) / scale_cell.BUILD).exists()
    return built and (corpus.directory / scale_cell.TRUTH).exists()


def _build(
    corpora: list[Corpus],
    cells: list[tuple[Corpus, int]],
    arguments: argparse.Namespace,
    progress: Progress,
) -> None:
    """Everything that is not there yet."""
    to_do: list[Call] = [
        (one.documents, scale_cell.write_truth, (one.directory,))
        for one in corpora
        if not (one.directory / scale_cell.TRUTH).exists()
    ]
    same = (arguments.model, arguments.storage, arguments.seed)
    to_do += [
        (one.documents, scale_cell.build_cell, (one.directory, shards, *same))
        for one, shards in cells
        if not (one.directory / str(shards) / scale_cell.BUILD).exists()
    ]
    to_do.sort(key=lambda one: -one[0])  # the longest first, so that none is alone at the end
    _run("building", to_do, arguments.processes, progress)


def _arguments() -> argparse.Namespace:
    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, metavar="FILE")
    parser.add_argument("--model", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--sizes", type=numbers, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--shards", type=numbers, default=[1, 4, 16])
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--storage", type=measured, default="auto")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1, help="builds side by side")
    parser.add_argument("--built-only", action="store_true", help="ask and draw what is built")
    return parser.parse_args()


def _write(corpus: Corpus, chunks: Any, questions: NDArray[np.float32]) -> None:
    """Write vectors and questions, once; refuses vectors that repeat."""
    path = corpus.directory / scale_cell.VECTORS
    if path.exists():
        return
    corpus.directory.mkdir(parents=True, exist_ok=True)
    np.save(corpus.directory / scale_cell.QUESTIONS, questions)
    partial = path.with_name("partial.npy")
    shape = (corpus.documents, questions.shape[1])
    matrix = np.lib.format.open_memmap(partial, "w+", np.float32, shape)
    start = 0
    for chunk in chunks:
        matrix[start : start + len(chunk)] = chunk
        start += len(chunk)
    if corpus.kind == "synthetic" and (count := synthetic.repeated(matrix)):
        raise SystemExit(f"{count} of {corpus.documents} synthetic vectors are another one's")
    matrix.flush()
    partial.rename(path)


def _likeness(corpus: Corpus) -> dict[str, dict[str, list[float]]]:
    """Scores of the nearest documents, in the whole corpus and in a tenth of it."""
    vectors = np.load(corpus.directory / scale_cell.VECTORS)
    questions = np.load(corpus.directory / scale_cell.QUESTIONS)
    return {
        f"{count:,}": synthetic.best_scores(vectors[:count], questions)
        for count in (len(vectors) // 10, len(vectors))
    }


def _run(
    what: str,
    calls: list[Call],
    processes: int,
    progress: Progress,
) -> list[Any]:
    """Each call in a process of its own, whose memory is then its own too; results in order."""
    spawn = multiprocessing.get_context("spawn")
    total = sum(weight for weight, _, _ in calls)
    with (
        ProcessPoolExecutor(processes, mp_context=spawn, max_tasks_per_child=1) as pool,
        progress.bar(what, total, "documents") as bar,
    ):
        futures = {pool.submit(call, *rest): weight for weight, call, rest in calls}
        for future in as_completed(futures):
            future.result()
            bar.update(futures[future])
        return [future.result() for future in futures]


if __name__ == "__main__":
    main()

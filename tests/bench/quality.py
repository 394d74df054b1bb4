"""How good the answers are, on many sets of labelled questions (make eval SETS=DIR).

Every ``corpus.jsonl`` below the directory is built with the default settings; each
``NAME.queries.jsonl`` or ``queries*.jsonl`` beside it is asked, with ``NAME.qrels.tsv`` or
``qrels.tsv`` as labels. Questions that have no labels at all are those that nothing answers.

Three tables. By score alone, with words, and with names too; where documents have answers, also
with those searched beside the questions (``--also-search answer``). The weights of words, on an
exact index (quality_weights.py). What a bound on confidence gives (quality_confidence.py).
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import quality_confidence
import quality_weights
from numpy.typing import NDArray

from app.generation.engine import Engine, open_engine
from app.generation.routing import Probe
from index_builder.corpus.ingest import ingest
from index_builder.document_rows import DocumentRows
from index_builder.inputs import Inputs
from index_builder.labelled import Labelled, quality, read_labelled, read_questions
from index_builder.pipeline import build
from index_builder.progress import Progress
from index_builder.replay import Replay
from index_builder.settings import Settings
from index_builder.workers import open_workers

HEAD = (
    f"{'questions':<28}{'asked':>7}  {'':<12}{'probe':<6}"
    f"{'hit@1':>7}{'recall@10':>11}{'nDCG@10':>9}"
    f"{'shards':>8}{'CPU ms':>8}"
)
PROBES: tuple[Probe, ...] = ("auto", "all")


@dataclass(frozen=True, slots=True)
class Asked:
    """A set of labelled questions beside a corpus; ``vectors`` (n, dim) are the questions'."""

    name: str
    qrels: Path
    labelled: Labelled
    vectors: NDArray[np.float32]


@dataclass(slots=True)
class Tables:
    """The rows of each table."""

    found: list[str] = field(default_factory=list)
    weighed: list[str] = field(default_factory=list)
    sure: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [[HEAD, *self.found], [quality_weights.HEAD, *self.weighed]]
        parts.append([quality_confidence.HEAD, *self.sure])
        return "\n\n".join("\n".join(part) for part in parts)


def sets(corpus: Path, engine: Engine) -> tuple[list[Asked], list[str]]:
    """The sets beside a corpus, and the questions that nothing answers."""
    labelled: list[Asked] = []
    nothing: list[str] = []
    for queries in sorted(corpus.parent.glob("*queries*.jsonl")):
        own = corpus.parent / f"{queries.name.split('.')[0]}.qrels.tsv"
        qrels = own if own.exists() else corpus.parent / "qrels.tsv"
        if not qrels.exists():
            nothing += read_questions(queries).values()
            continue
        name = f"{corpus.parent.name}/{queries.name.removesuffix('.jsonl')}"
        one = read_labelled(queries, qrels)
        labelled.append(Asked(name, qrels, one, engine.encode(one.questions)))
    return labelled, nothing


def measure(corpus: Path, arguments: argparse.Namespace, engine: Engine, tables: Tables) -> None:
    """Build from one corpus in several ways, and add the rows of its sets to the tables."""
    out, progress = arguments.out / corpus.parent.name, Progress()
    inputs = Inputs(ingest([corpus], out / ".work" / "corpus", 0.001, progress), arguments.model)
    settings = Settings(shards=arguments.shards)

    def built(settings: Settings) -> Path:
        with open_workers(2) as workers:
            return out / build(inputs, settings, out, out / ".work", workers, progress)[0].id

    usual, exact = built(settings), built(replace(settings, index="exact"))
    replay = Replay(usual)
    ways = [("by score", replay), ("words", Replay(usual, names=False)), ("and names", replay)]
    if next(DocumentRows(inputs.corpus.documents).answers(), None):
        ways.append(("and answers", Replay(built(replace(settings, also_search="answer")))))
    labelled, nothing = sets(corpus, engine)
    known: set[Path] = set()
    for asked in labelled:
        tables.found += found_rows(asked, ways)
        tables.weighed.append(
            quality_weights.weights_row(asked.name, exact, asked.labelled, asked.vectors)
        )
        # The same labels tell the same once more.
        if asked.qrels not in known and quality_confidence.tells(asked.labelled, nothing):
            known.add(asked.qrels)
            tables.sure += quality_confidence.held_out_rows(
                asked.name, asked.labelled, nothing, inputs, settings, out, engine
            )


def found_rows(asked: Asked, ways: list[tuple[str, Replay]]) -> Iterator[str]:
    """How often each way finds the right documents, how many shards it asks, and its CPU."""
    name = asked.name
    for what, who in ways:
        texts = () if what == "by score" else asked.labelled.questions
        for probe in PROBES:
            begun = time.process_time()
            found = who.search(asked.vectors, 10, probe, texts)
            spent = (time.process_time() - begun) / len(asked.vectors) * 1e3
            got = quality(found.ids, asked.labelled.relevant)
            yield (
                f"{name:<28}{len(asked.vectors):>7,}  {what:<12}{probe:<6}{got.hit_at_1:>7.3f}"
                f"{got.recall_at_10:>11.3f}{got.ndcg_at_10:>9.3f}{found.fan_out:>8.2f}{spent:>8.2f}"
            )
            name = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="where generations go")
    parser.add_argument("--shards", type=int, default=4)
    arguments = parser.parse_args()
    corpora = sorted(arguments.directory.rglob("corpus.jsonl"))
    if not corpora:
        parser.error(f"{arguments.directory} has no corpus.jsonl")
    engine, tables = open_engine(arguments.model), Tables()
    for corpus in corpora:
        measure(corpus, arguments, engine, tables)
    print(tables)


if __name__ == "__main__":
    main()

"""How good the answers are, on many sets of labelled questions: one table (make eval SETS=DIR).

Every ``corpus.jsonl`` below the directory is built with the default settings; each
``NAME.queries.jsonl`` or ``queries*.jsonl`` beside it is asked, with ``NAME.qrels.tsv`` or
``qrels.tsv`` as labels. Rows: by score alone, with words, and with names too; where documents have
answers, also with those searched beside the questions (``--also-search answer``).
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from app.generation.engine import open_engine
from app.generation.routing import Probe
from index_builder.corpus.ingest import ingest
from index_builder.document_rows import DocumentRows
from index_builder.labelled import quality, read_labelled
from index_builder.pipeline import Inputs, Settings, build
from index_builder.progress import Progress
from index_builder.replay import Replay

HEAD = (
    f"{'questions':<28}{'asked':>7}  {'':<12}{'probe':<6}"
    f"{'hit@1':>7}{'recall@10':>11}{'nDCG@10':>9}"
    f"{'shards':>8}{'CPU ms':>8}"
)


def sets(corpus: Path) -> Iterator[tuple[str, Path, Path]]:
    """Name, questions and labels of each set beside a corpus; those without labels are left out."""
    for queries in sorted(corpus.parent.glob("*queries*.jsonl")):
        name = queries.name.split(".")[0]
        own = corpus.parent / f"{name}.qrels.tsv"
        labels = own if own.exists() else corpus.parent / "qrels.tsv"
        if labels.exists():
            yield f"{corpus.parent.name}/{queries.name.removesuffix('.jsonl')}", queries, labels


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
    engine, progress, rows = open_engine(arguments.model), Progress(), []
    for corpus in corpora:
        out = arguments.out / corpus.parent.name
        ingested = ingest([corpus], out / ".work" / "corpus", 0.001, progress)
        inputs = Inputs(ingested, arguments.model)
        settings = Settings(shards=arguments.shards)
        manifest, _ = build(inputs, settings, out, out / ".work", 2, progress)
        replay, no_names = Replay(out / manifest.id), Replay(out / manifest.id, names=False)
        ways = [("by score", replay), ("words", no_names), ("and names", replay)]
        if next(DocumentRows(ingested.documents).answers(), None):
            settings = replace(settings, also_search="answer")
            manifest, _ = build(inputs, settings, out, out / ".work", 2, progress)
            ways.append(("and answers", Replay(out / manifest.id)))
        for name, queries, qrels in sets(corpus):
            labelled = read_labelled(queries, qrels)
            vectors = engine.encode(labelled.questions)
            for what, who in ways:
                texts = () if what == "by score" else labelled.questions
                for probe in PROBES:
                    begun = time.process_time()
                    found = who.search(vectors, 10, probe, texts)
                    spent = (time.process_time() - begun) / len(vectors) * 1e3
                    got = quality(found.ids, labelled.relevant)
                    rows.append(
                        f"{name:<28}{len(vectors):>7,}  {what:<12}{probe:<6}{got.hit_at_1:>7.3f}"
                        f"{got.recall_at_10:>11.3f}{got.ndcg_at_10:>9.3f}{found.fan_out:>8.2f}"
                        f"{spent:>8.2f}"
                    )
                    name = ""
    print(HEAD, *rows, sep="\n")


PROBES: tuple[Probe, ...] = ("auto", "all")

if __name__ == "__main__":
    main()

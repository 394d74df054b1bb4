"""``python -m index_builder build``: its arguments, and what it prints."""

from __future__ import annotations

import argparse
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from app.errors import BuildError
from app.generation.manifest import Manifest
from index_builder.choose_weight import USUAL
from index_builder.corpus.ingest import ingest
from index_builder.corpus.options import add_reading, chosen_reading
from index_builder.corpus.reading import Reading
from index_builder.course_input import read_course_input
from index_builder.document_rows import DocumentRows
from index_builder.evaluate import chosen_row
from index_builder.filterable import wanted_fields
from index_builder.inputs import Inputs
from index_builder.pipeline import build
from index_builder.progress import Progress
from index_builder.report.figures import AsRead
from index_builder.report.measure import Known
from index_builder.report_command import leave_report
from index_builder.settings import Settings, check_settings
from index_builder.without import SHOWN, read_without
from index_builder.workers_options import add_cluster, chosen_workers


def add_build(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "build",
        help="corpus + model -> a sealed generation",
        description="Build a sealed generation. The same input and settings give the same content; "
        "a generation that exists already is not built again. Interrupted encoding resumes.",
    )
    source = parser.add_argument_group("input")
    source.add_argument(
        "--corpus",
        nargs="+",
        type=Path,
        metavar="FILE",
        help=".jsonl or .json (text, optional id, answer, metadata), .csv/.tsv with a header, .txt "
        "one a line; .gz, .bz2 or .zst of these; .xlsx, .parquet",
    )
    add_reading(source)
    source.add_argument(
        "--course-clusters",
        type=Path,
        metavar="FILE",
        help="instead of --corpus: the course project's clusters_use_dgN.json, kept as they are",
    )
    source.add_argument(
        "--course-embeddings", type=Path, metavar="FILE", help="use_embeddings_dgN.pkl"
    )
    source.add_argument(
        "--course-centers", type=Path, metavar="FILE", help="clusters_centers_use_dgN.pkl"
    )
    source.add_argument(
        "--questions",
        type=Path,
        metavar="FILE",
        help="real questions, same formats, to measure recall with (default: leave-one-out)",
    )
    source.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="labelled questions (the command label makes them), 100 or more, to fit how sure an "
        "answer is",
    )
    source.add_argument(
        "--without",
        type=Path,
        metavar="FILE",
        help="documents to leave out: the list that withdraw.yml keeps (var/withdrawn-*.jsonl), or "
        "one id a line",
    )
    source.add_argument(
        "--max-bad",
        type=float,
        default=0.001,
        metavar="FRACTION",
        help="refuse when more of the lines are bad (default 0.001)",
    )
    parser.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="a model artefact (publish-model)"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where generations go"
    )
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="where unfinished work is kept (default OUT/.work)"
    )
    parser.add_argument("--shards", type=int, required=True, metavar="N")
    parser.add_argument(
        "--base",
        type=Path,
        metavar="DIR",
        help="a sealed generation to build on: its clusters, placement and rows are kept, so that "
        "a small change of the corpus is a small transfer",
    )
    shape = parser.add_argument_group("shape of the index")
    shape.add_argument(
        "--index",
        default="auto",
        help="auto (by size), lean (the same in half the memory), exact, or a FAISS factory string",
    )
    shape.add_argument(
        "--storage",
        type=measured,
        default="auto",
        metavar="RATIO",
        help="stored documents over documents, at most; auto (the default) measures what each "
        "amount of border copies gives; with --base it keeps the base's",
    )
    shape.add_argument(
        "--bytes-per-document",
        type=float,
        metavar="N",
        help="the most bytes of vectors of a document, copies included, that --storage auto may "
        "choose (default: twice what a document takes, and five a dimension)",
    )
    shape.add_argument(
        "--recall-at-1", type=float, default=0.995, metavar="R", help="target (default 0.995)"
    )
    shape.add_argument(
        "--recall-at-10", type=float, default=0.987, metavar="R", help="target (default 0.987)"
    )
    shape.add_argument(
        "--rescore-weight",
        type=measured,
        default="auto",
        metavar="W",
        help="order the best candidates again, by score + W times the part of the question's words "
        "that they have; 0 orders by score alone; auto (default) chooses W by --labels, and is "
        f"{USUAL} without",
    )
    shape.add_argument(
        "--filterable",
        default="",
        metavar="FIELDS",
        help="metadata fields that a search may filter by, such as set,lang,year:number; kinds are "
        "keyword, number and boolean (default: as the values are)",
    )
    shape.add_argument(
        "--also-search",
        choices=("answer",),
        default="",
        help="search the documents' answers beside their questions: up to twice the vectors",
    )
    shape.add_argument(
        "--sample", type=int, default=2000, metavar="N", help="questions to measure with"
    )
    shape.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--processes",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="worker processes on this machine (default: one per CPU)",
    )
    add_cluster(parser)
    parser.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    settings = Settings(
        shards=arguments.shards,
        index=arguments.index,
        storage=arguments.storage,
        bytes_per_document=arguments.bytes_per_document,
        recall_at_1=arguments.recall_at_1,
        recall_at_10=arguments.recall_at_10,
        rescore_weight=arguments.rescore_weight,
        also_search=arguments.also_search,
        filterable=wanted_fields(arguments.filterable) if arguments.filterable else (),
        sample=arguments.sample,
        seed=arguments.seed,
    )
    check_settings(settings)
    reading = chosen_reading(arguments)
    _check_input(arguments, reading)
    without = read_without(arguments.without) if arguments.without else frozenset()
    progress = Progress()
    work: Path = arguments.work or arguments.out / ".work"
    if arguments.corpus:
        corpus = ingest(
            arguments.corpus, _own(work, arguments.corpus), arguments.max_bad, progress, reading
        )
        inputs = Inputs(corpus, arguments.model, base=arguments.base)
    else:
        inputs = read_course_input(
            arguments.course_clusters,
            arguments.course_embeddings,
            arguments.course_centers,
            arguments.model,
            _own(work, [arguments.course_clusters]),
            arguments.max_bad,
            progress,
        )
    inputs = replace(
        inputs,
        questions=_questions(arguments, work, progress),
        labelled=arguments.labels,
        without=without,
    )
    with chosen_workers(arguments) as workers:
        manifest, new = build(inputs, settings, arguments.out, work, workers, progress)
    directory = arguments.out / manifest.id
    known = Known(AsRead.of(inputs.corpus), arguments.model, inputs.questions, arguments.base)
    report = leave_report(directory, known, progress)
    if arguments.json:
        print(
            msgspec.json.encode(
                {"id": manifest.id, "new": new, "directory": str(directory)}
            ).decode()
        )
    else:
        print(summary(manifest, new, directory, inputs.corpus.assumed))
        print(f"  report     {report}")
    return 0


def _check_input(arguments: argparse.Namespace, reading: Reading) -> None:
    """Raises BuildError for options that do not go together."""
    if bool(arguments.corpus) == bool(arguments.course_clusters):
        raise BuildError("give either --corpus or --course-clusters")
    if arguments.corpus and (arguments.course_embeddings or arguments.course_centers):
        raise BuildError("--course-embeddings and --course-centers go with --course-clusters")
    if arguments.course_clusters and arguments.base:
        raise BuildError("--base has clusters of its own: give it with --corpus")
    if arguments.course_clusters and reading != Reading():
        raise BuildError("course files have no fields and no quoting to choose")
    if arguments.course_centers and not arguments.course_embeddings:
        raise BuildError("--course-centers are of use with --course-embeddings only")


def _own(work: Path, paths: list[Path]) -> Path:
    """A directory of its own for each list of input files, so that two builds never meet."""
    names = "\n".join(str(path.resolve()) for path in paths)
    return work / f"corpus-{hashlib.sha256(names.encode()).hexdigest()[:12]}"


def _questions(arguments: argparse.Namespace, work: Path, progress: Progress) -> tuple[str, ...]:
    if arguments.questions is None:
        return ()
    paths = [arguments.questions]
    asked = ingest(paths, _own(work, paths), arguments.max_bad, progress)
    first = range(min(arguments.sample, asked.count))
    return tuple(row.text for row in DocumentRows(asked.documents).get(first))


def measured(text: str) -> float | None:
    """A number, or None for ``auto``."""
    return None if text == "auto" else float(text)


def summary(manifest: Manifest, new: bool, directory: Path, assumed: list[str]) -> str:
    """What a person wants to know of a generation, a few lines."""
    chosen = chosen_row(manifest.routing)
    text, rows = ("text", "rows") if manifest.routing.also else ("document", "documents")
    lines = [
        f"generation {manifest.id} {'sealed' if new else 'exists (same input and settings)'}",
        f"  documents  {manifest.documents:,}, stored {manifest.stored:,} "
        f"({manifest.stored / manifest.documents:.2f}x) in {len(manifest.shards)} shards, "
        f"{manifest.clusters} clusters",
        f"  model      {manifest.model.name} ({manifest.model.fingerprint}), "
        f"{manifest.model.dim}-d",
        f"  routing    asks {chosen.fan_out:.2f} shards on average: recall@1 "
        f"{chosen.recall_at_1:.4f}, recall@10 {chosen.recall_at_10:.4f} against exact search",
    ]
    lines += [
        f"  storage    {row.storage:.2f}x would ask {row.fan_out:.2f} shards, "
        f"{row.bytes_per_document:,} bytes a {text}, {row.cpu_ms:.2f} ms of CPU a question"
        for row in manifest.routing.storage
    ]
    if rescoring := manifest.routing.rescoring:
        lines.append(
            f"  words      order the best {rescoring.depth} again: score + {rescoring.weight:g} * "
            "the part of the question's words that a document has"
        )
        lines += [
            f"  weight     {row.weight:g}: the first answer is right for {row.hit_at_1:.1%} of "
            f"{rescoring.labels} labelled questions"
            for row in rescoring.measured
        ]
    if confidence := manifest.routing.confidence:
        labels = f"({confidence.labels} labels)"
        lines += [
            f"  confidence {row.min_confidence:.2f} or more is right in {row.precision:.0%}, and "
            f"lets {row.answered:.0%} of the right answers pass {labels}"
            if row.answered
            else f"  confidence no bound is right in {row.precision:.0%} {labels}"
            for row in confidence.table
        ]
    if also := manifest.routing.also:
        answers = also.texts - manifest.documents
        size = sum(shard.memory_bytes for shard in manifest.shards)
        lines.append(
            f"  answers    searched too: {answers:,} beside {manifest.documents:,} questions; "
            f"{also.stored:,} of {manifest.stored:,} rows, {also.stored_bytes / 1e6:.1f} of "
            f"{size / 1e6:.1f} MB"
        )
        if also.labels:
            before, now = also.hit_at_1
            lines.append(
                f"  gain       of {also.labels} labelled questions the first answer is right for "
                f"{before:.1%} by questions alone, {now:.1%} with answers"
            )
    if filters := manifest.routing.filters:
        fields = ", ".join(f"{field.name} ({field.kind})" for field in filters.fields)
        lines.append(f"  filters    {fields}")
        lines += [
            f"  filter     {row.filter}: {row.documents:,} documents, asks {row.fan_out:.2f} "
            f"shards, recall@1 {row.recall_at_1:.4f}, recall@10 {row.recall_at_10:.4f}"
            for row in filters.table
        ]
    if gone := manifest.withdrawn:
        more = ", …" if len(gone) > SHOWN else ""
        lines.append(
            f"  withdrawn  {len(gone):,} documents of the corpus left out: "
            f"{', '.join(gone[:SHOWN])}{more}"
        )
    lines += [f"  corpus     {line}" for line in assumed]
    lines += [
        f"  shard {shard.shard:<4} {shard.documents:,} {rows}, {shard.index_kind}, "
        f"recall@10 {shard.recall:.4f}, {shard.memory_bytes / 1e6:.1f} MB"
        for shard in manifest.shards
    ]
    targets = (manifest.routing.target_recall_at_1, manifest.routing.target_recall_at_10)
    if chosen.recall_at_1 < targets[0] or chosen.recall_at_10 < targets[1]:
        lines.append(
            f"  warning    the targets {targets[0]} and {targets[1]} are not reached: "
            "raise --storage or use --index exact"
        )
    lines.append(f"  directory  {directory}")
    return "\n".join(lines)

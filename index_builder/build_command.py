"""``python -m index_builder build``: its arguments, and what it prints."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from app.errors import BuildError
from index_builder.build_options import add_options
from index_builder.corpus.ingest import ingest
from index_builder.corpus.options import chosen_reading
from index_builder.corpus.reading import Reading
from index_builder.course_input import read_course_input
from index_builder.document_rows import DocumentRows
from index_builder.filterable import wanted_fields
from index_builder.inputs import Inputs
from index_builder.pipeline import build
from index_builder.progress import Progress
from index_builder.report.figures import AsRead
from index_builder.report.measure import Known
from index_builder.report_command import leave_report
from index_builder.settings import Settings, check_settings
from index_builder.summary import summary
from index_builder.without import read_without
from index_builder.workers_options import chosen_workers


def add_build(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "build",
        help="corpus + model -> a sealed generation",
        description="Build a sealed generation. The same input and settings give the same content; "
        "a generation that exists already is not built again. Interrupted encoding resumes.",
    )
    add_options(parser)
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

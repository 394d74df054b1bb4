"""The options of ``python -m index_builder build``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from index_builder.choose_weight import USUAL
from index_builder.corpus.options import add_reading
from index_builder.workers_options import add_cluster


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add them, in the order of the help text."""
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


def measured(text: str) -> float | None:
    """A number, or None for ``auto``."""
    return None if text == "auto" else float(text)

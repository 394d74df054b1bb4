"""Make and measure the forms in which a model could be served, and keep the chosen one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.errors import ModelError
from app.generation.engine import Engine
from app.generation.engines.base import TextEngine
from app.generation.engines.onnx import OnnxEngine, load_tokenizer, onnx_session
from app.generation.engines.packed import PackedEngine, packed_session
from app.generation.engines.table import ENGINES, exported
from app.generation.engines.torch import SentenceTransformersEngine
from app.generation.model import (
    NO_PROMPTS,
    TOKENIZER,
    Comparison,
    Measured,
    Prompts,
    Side,
    Variant,
)
from index_builder.publish.compare import (
    EXPORT,
    RULE_LABELLED,
    RULE_UNLABELLED,
    TOGETHER,
    choose,
    cosines,
    milliseconds,
    retrieval,
)
from index_builder.publish.export import export
from index_builder.publish.limits import encode_checked
from index_builder.publish.packed import make_packed, packable
from index_builder.publish.quantise import make, precisions
from index_builder.publish.questions import BUILT_IN, LONG, Questions
from index_builder.publish.reference import Reference
from index_builder.publish.source import Source, copy_model

REFERENCE_DIR = "model"
GRAPH = "model.onnx"
PROBE = "How do you turn on a phone?"

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """The chosen form, its files in the work directory, and the comparison that chose it."""

    kind: str
    variant: Variant
    engine: Engine
    max_tokens: int
    comparison: Comparison
    prompts: Prompts = NO_PROMPTS
    two_sided: bool = False


def prepare_onnx(
    work: Path, reference: Reference, questions: Questions, precision: str, report: Report
) -> Prepared:
    """Export, quantise and compare in ``work``; leaves only the chosen graph and the tokenizer."""
    reference.save_tokenizer(work / TOKENIZER)
    tokenizer = load_tokenizer(work / TOKENIZER, reference.max_tokens)
    _check_tokenizer(tokenizer, reference, questions.texts)
    expected = {side: reference.encode(questions.texts, side) for side in reference.sides}
    dim = expected["query"].shape[1]
    report("exporting to ONNX")
    graph = work / "model-fp32.onnx"
    export(reference, graph)
    report("quantising and comparing")
    names = precisions(graph)
    variants = [make(graph, name) for name in names]
    engines: list[TextEngine] = [
        OnnxEngine(onnx_session(work / variant.file), tokenizer, "", dim, reference.prompts)
        for variant in variants
    ]
    if packable(reference):
        # measured on fixed texts, so that the same model gives the same artefact
        variants.append(make_packed(reference, tokenizer, [*BUILT_IN, LONG], work))
        session = packed_session(work / variants[-1].file)
        engines.append(PackedEngine(session, tokenizer, "", dim, reference.prompts))
    if precision not in ("auto", *(variant.precision for variant in variants)):
        raise ModelError(
            f"this model has no form {precision}: there is no matrix product to quantise, or it "
            "is no transformer of BERT's plan"
        )
    _check_limit(engines[0], reference)
    times = milliseconds([*engines, _AsEngine(reference, dim)])
    rows = [
        measure(exported(variant.precision).name, variant, work, engine, ms, expected, questions)
        for variant, engine, ms in zip(variants, engines, times, strict=False)
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
    for side in reference.sides:
        encode_checked(engines[index], reference.texts_about_limit(side), side)
    for variant in variants:
        if variant is not kept:
            (work / variant.file).unlink()
    (work / kept.file).rename(work / GRAPH)
    final = msgspec.structs.replace(kept, file=GRAPH)
    comparison = Comparison(rule, questions.described, tuple(rows))
    return Prepared(
        exported(chosen).name,
        final,
        engines[index],
        reference.max_tokens,
        comparison,
        reference.prompts,
        reference.two_sided,
    )


def _check_limit(fp32: Engine, reference: Reference) -> None:
    """Refuse a graph that is not the model on texts about the limit."""
    for side in reference.sides:
        texts = reference.texts_about_limit(side)
        near = cosines(encode_checked(fp32, texts, side), reference.encode(texts, side))
        if near.min() < EXPORT:
            raise ModelError(
                f"the exported graph differs from the model (cosine {near.min():.4f}) on texts of "
                f"about {reference.max_tokens} tokens: use --engine sentence-transformers"
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
    expected: Mapping[Side, NDArray[np.float32]],
    questions: Questions,
) -> Measured:
    """A candidate's row, not chosen yet.

    ``expected`` are the reference's vectors of the questions' texts, for each side to compare.
    """
    near = np.concatenate(
        [cosines(candidate.encode(questions.texts, side), rows) for side, rows in expected.items()]
    )
    largest = ENGINES[engine].largest
    together = milliseconds([candidate], TOGETHER)[0] if largest > 1 else None
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
        portable=ENGINES[engine].portable and not variant.requires,
        chosen=False,
        ms_together=None if together is None else round(together, 3),
    )


def prepare_torch(
    work: Path, source: Source, reference: Reference, questions: Questions
) -> Prepared:
    """Take the model as it is; the table has one row."""
    copy_model(source, work / REFERENCE_DIR)
    dim = int(reference.encode([PROBE]).shape[1])
    engine = SentenceTransformersEngine(
        work / REFERENCE_DIR, "", dim, reference.max_tokens, reference.prompts
    )
    _check_limit(engine, reference)
    (ms,) = milliseconds([engine])
    expected = {side: reference.encode(questions.texts, side) for side in reference.sides}
    variant = Variant(REFERENCE_DIR, "fp32")
    row = measure("sentence-transformers", variant, work, engine, ms, expected, questions)
    if row.cosine_min < EXPORT:
        raise ModelError(f"the copied model differs from the model (cosine {row.cosine_min:.4f})")
    size = sum(p.stat().st_size for p in (work / REFERENCE_DIR).rglob("*") if p.is_file()) / 1e6
    row = msgspec.structs.replace(row, megabytes=round(size, 1), chosen=True)
    comparison = Comparison("--engine sentence-transformers", questions.described, (row,))
    return Prepared(
        "sentence-transformers",
        variant,
        engine,
        reference.max_tokens,
        comparison,
        reference.prompts,
        reference.two_sided,
    )


def _check_tokenizer(tokenizer: Any, reference: Reference, texts: list[str]) -> None:
    """Refuse a model whose own tokenizer does more than tokenizer.json can say."""
    for side in reference.sides:
        prompt = reference.prompts.of(side).text
        for text in texts:
            expected = reference.features(text, side)["input_ids"][0].tolist()
            if tokenizer.encode(prompt + text).ids != expected:
                raise ModelError(
                    f"tokenizer.json and the model's own tokenizer differ on {text[:60]!r}: "
                    "use --engine sentence-transformers"
                )

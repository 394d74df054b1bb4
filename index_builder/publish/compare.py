"""Measure the candidates against the reference, and choose. The rule is one pure function."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.errors import ModelError
from app.generation.engine import Engine
from app.generation.model import Comparison, Measured
from index_builder.publish.questions import Labelled

ROUNDS = 9
REPEAT = 10
# Texts of a pass that is timed: what waits at an encoder under load.
TOGETHER = 8
TIMED = "How do I turn on a phone that was off for a year?"  # 12 words, 15 tokens
# Where labelled questions showed that nothing is lost: int8 at 0.9936 (docs/decisions/0018).
COSINE_MEAN = 0.99
COSINE_MIN = 0.98
QUALITY = 0.002
FASTER = 0.9
EXPORT = 0.9999
CHEAPEST = (
    "the portable precision that costs least a text, in passes where texts share them (fp32 unless "
    "a tenth is gained)"
)
RULE_LABELLED = f"{CHEAPEST}, whose hit@1 and recall@10 are each within 0.2 points of fp32"
RULE_UNLABELLED = (
    f"{CHEAPEST}, whose cosine to the reference is at least {COSINE_MEAN} in the mean and "
    f"{COSINE_MIN} in the worst case"
)


def milliseconds(engines: Sequence[Engine], together: int = 1) -> list[float]:
    """Median CPU time of a short question per engine, so many together, in one thread.

    CPU time, because other work on the machine stretches wall time tenfold; rounds interleave, so
    that what noise is left is shared.
    """
    times: list[list[float]] = [[] for _ in engines]
    for _ in range(ROUNDS):
        for engine, found in zip(engines, times, strict=True):
            for _ in range(REPEAT):
                start = time.thread_time()
                engine.encode([TIMED] * together)
                found.append((time.thread_time() - start) * 1e3 / together)
    return [float(np.median(found)) for found in times]


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row-wise inner products of unit vectors, shape (n,)."""
    return np.asarray(np.einsum("ij,ij->i", a, b), dtype=np.float32)


def retrieval(engine: Engine, labelled: Labelled) -> tuple[float, float]:
    """hit@1 and recall@10 of exact search, corpus and questions encoded by the same engine."""
    corpus = engine.encode(labelled.corpus, "document")
    queries = engine.encode(labelled.queries, "query")
    hits = 0
    found = 0.0
    for query, relevant in zip(queries, labelled.relevant, strict=True):
        best = np.argsort(-(corpus @ query), kind="stable")[:10]
        hits += int(best[0]) in relevant
        found += len(relevant.intersection(best.tolist())) / min(10, len(relevant))
    return hits / len(queries), found / len(queries)


def acceptable(row: Measured, fp32: Measured) -> bool:
    """Whether a candidate may be chosen by itself: runs anywhere, and near enough to fp32."""
    if not row.portable:
        return False
    if row.hit_at_1 is None or row.recall_at_10 is None:
        return row.cosine_mean >= COSINE_MEAN and row.cosine_min >= COSINE_MIN
    if fp32.hit_at_1 is None or fp32.recall_at_10 is None:
        raise ModelError("fp32 was not measured on the labelled questions")
    return (
        row.hit_at_1 >= fp32.hit_at_1 - QUALITY and row.recall_at_10 >= fp32.recall_at_10 - QUALITY
    )


def choose(rows: Sequence[Measured]) -> str:
    """The precision to serve, by RULE_LABELLED or RULE_UNLABELLED.

    Raises: ModelError when the exported graph itself, in fp32, is not the model, or when the
        labels say nothing: then the differences between precisions would be noise.
    """
    fp32 = next(row for row in rows if row.precision == "fp32")
    if fp32.hit_at_1 == 0:
        raise ModelError(
            "no labelled question finds its text first, even in fp32 (hit@1 0): check that the "
            "labels fit corpus and queries, or publish without --eval"
        )
    if fp32.cosine_min < EXPORT:
        raise ModelError(
            f"the exported graph differs from the model (cosine {fp32.cosine_min:.4f} in the "
            "worst case): use --engine sentence-transformers"
        )
    quicker = [row for row in rows if acceptable(row, fp32) and _cost(row) <= FASTER * fp32.ms]
    return min([fp32, *quicker], key=_cost).precision


def _cost(row: Measured) -> float:
    """Milliseconds a text, in passes where texts share them."""
    return row.ms if row.ms_together is None else row.ms_together


def table(comparison: Comparison) -> str:
    """The comparison as text, one candidate a line."""
    lines = [
        f"{'engine':<22}{'precision':<11}{'ms':>7}{'of 8':>7}{'cosine':>9}{'worst':>9}{'MB':>7}"
        f"{'hit@1':>8}{'rec@10':>8}  notes"
    ]
    for row in comparison.rows:
        hit = "-" if row.hit_at_1 is None else f"{row.hit_at_1:.4f}"
        recall = "-" if row.recall_at_10 is None else f"{row.recall_at_10:.4f}"
        together = "-" if row.ms_together is None else f"{row.ms_together:.2f}"
        notes = [
            "chosen" if row.chosen else "",
            "" if row.portable else "only on CPUs with 8-bit dot products",
        ]
        lines.append(
            f"{row.engine:<22}{row.precision:<11}{row.ms:>7.2f}{together:>7}{row.cosine_mean:>9.5f}"
            f"{row.cosine_min:>9.5f}{row.megabytes:>7.1f}{hit:>8}{recall:>8}"
            f"  {', '.join(filter(None, notes))}".rstrip()
        )
    lines.append(f"measured on {comparison.questions}; rule: {comparison.rule}")
    return "\n".join(lines)

"""The figures of ``scale.py`` as plain text, and their exponents."""

from __future__ import annotations

from typing import Any

import numpy as np

Rows = list[dict[str, Any]]
MEASURES = {
    "cpu_ms": "CPU per question",
    "fan_out": "fan-out",
    "memory_per_document": "memory per document",
    "build_cpu_s": "build CPU",
}


def value(row: dict[str, Any], measure: str) -> float:
    """A measure of a row; one of MEASURES."""
    return float(row["build"]["cpu_s"] if measure == "build_cpu_s" else row[measure])


def exponents(rows: Rows) -> dict[str, dict[int, float]]:
    """By measure and shards, the slope over documents, least squares in log-log.

    1 is linear, 0 constant. Only synthetic corpora count; nothing is said of a single size.
    """
    result: dict[str, dict[int, float]] = {measure: {} for measure in MEASURES}
    for measure in MEASURES:
        for shards in sorted({row["shards"] for row in rows}):
            own = [r for r in rows if r["kind"] == "synthetic" and r["shards"] == shards]
            if len({row["documents"] for row in own}) > 1:
                x = np.log([row["documents"] for row in own])
                y = np.log([value(row, measure) for row in own])
                result[measure][shards] = round(float(np.polyfit(x, y, 1)[0]), 3)
    return result


def table(rows: Rows, likeness: dict[str, Any]) -> str:
    """Everything a person reads."""
    lines = ["", "How alike: scores of the nearest documents, 5 25 50 75 95 % of the questions"]
    for kind, counts in likeness.items():
        for count, best in counts.items():
            for name, quantiles in best.items():
                shown = " ".join(f"{score:.3f}" for score in quantiles)
                lines.append(f"  {kind:<10}{count:>8} {name:<7}{shown}")
    lines += [
        "",
        f"{'':<10}{'documents':>10}{'shards':>7}  {'index':<24}{'CPU ms':>7}{'routing':>8}"
        f"{'search':>7}{'merge':>6}{'asked':>7}{'rec@1':>7}{'rec@10':>7}{'B/doc':>7}"
        f"{'build s':>8}{'peak GB':>8}",
    ]
    for row in sorted(rows, key=lambda r: (r["kind"], r["documents"], r["shards"])):
        lines.append(
            f"{row['kind']:<10}{row['documents']:>10,}{row['shards']:>7}  "
            f"{'/'.join(row['index']):<24}{row['cpu_ms']:>7.2f}{row['routing_ms']:>8.2f}"
            f"{row['search_ms']:>7.2f}{row['merge_ms']:>6.2f}{row['fan_out']:>7.2f}"
            f"{row['recall_at_1']:>7.3f}{row['recall_at_10']:>7.3f}"
            f"{row['memory_per_document']:>7.0f}{row['build']['cpu_s']:>8.0f}"
            f"{row['build']['peak_rss_bytes'] / 1e9:>8.2f}"
        )
    lines += ["", "Build CPU by step, seconds"]
    for row in sorted(rows, key=lambda r: (r["kind"], r["documents"], r["shards"])):
        steps = ", ".join(
            f"{k} {s:.0f}" for k, s in row["build"]["steps_cpu_s"].items() if s >= 0.5
        )
        lines.append(f"  {row['kind']:<10}{row['documents']:>10,}{row['shards']:>4}  {steps}")
    lines += ["", "Exponents: grows with documents to the power of"]
    for measure, by_shards in exponents(rows).items():
        shown = ", ".join(f"{power:.2f} ({shards} shards)" for shards, power in by_shards.items())
        lines.append(f"  {MEASURES[measure]:<21}{shown}")
    return "\n".join(lines)

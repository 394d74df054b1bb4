"""The figures of ``scale.py`` as a log-log chart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt  # after the choice of a backend without a screen
from matplotlib.ticker import FuncFormatter, NullFormatter
from scale_table import Rows, value

PANELS = (
    ("cpu_ms", "CPU per question", "ms (median, one thread)"),
    ("memory_per_document", "Memory per document", "bytes (index and routing, copies included)"),
    ("build_cpu_s", "CPU of a build, without encoding", "seconds"),
    ("fan_out", "Fan-out", "shards asked (mean)"),
)
MARKS = ("o", "s", "^", "D", "v")


def draw(rows: Rows, exponents: dict[str, dict[int, float]], path: Path) -> None:
    """Write the chart: a panel for each measure, a line for each number of shards."""
    figure, axes = plt.subplots(2, 2, figsize=(12, 9), layout="constrained")
    figure.suptitle(
        "askfleet: growth with the number of documents (synthetic vectors)", fontsize=14
    )
    for axis, (measure, title, unit) in zip(axes.flat, PANELS, strict=True):
        for mark, shards in zip(MARKS, sorted({row["shards"] for row in rows}), strict=False):
            own = [r for r in rows if r["kind"] == "synthetic" and r["shards"] == shards]
            own.sort(key=lambda row: row["documents"])
            axis.plot(
                [row["documents"] for row in own],
                [value(row, measure) for row in own],
                marker=mark,
                label=_label(shards, exponents.get(measure, {})),
            )
        axis.set(title=title, xlabel="documents", ylabel=unit, xscale="log", yscale="log")
        axis.grid(which="both", alpha=0.25)
        axis.yaxis.set_major_formatter(FuncFormatter(_plain))
        low, high = axis.get_ylim()
        if high / low < 30:  # less than a decade or so needs the ticks between, too
            axis.yaxis.set_minor_formatter(FuncFormatter(_plain))
        else:
            axis.yaxis.set_minor_formatter(NullFormatter())
        axis.legend()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _label(shards: int, powers: dict[Any, float]) -> str:
    name = f"{shards} shard{'s' if shards != 1 else ''}"
    return f"{name}, exponent {powers[shards]:.2f}" if shards in powers else name


def _plain(number: float, _: object = None) -> str:
    return f"{number:,.6g}"

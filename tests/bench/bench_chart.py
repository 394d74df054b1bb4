"""The bench as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot

PANELS = (
    ("q/s@8", "questions/s, 8 clients"),
    ("cpu_ms@8", "CPU ms per question, 8 clients"),
    ("p50@1", "median ms, 1 client"),
    ("recall@10", "recall@10 against exact search"),
)
OWN, OTHER = "#0b6e4f", "#9aa5b1"


def draw(told: dict[str, Any], target: Path) -> None:
    """Bars of every system, and where the CPU of a question goes here."""
    rows: dict[str, dict[str, float]] = told["rows"]
    names = list(rows)
    figure, axes = pyplot.subplots(2, 3, figsize=(15, 8), layout="constrained")
    for axis, (key, title) in zip(axes.flat, PANELS, strict=False):
        values = [rows[name][key] for name in names]
        colors = [OWN if name == "askfleet" else OTHER for name in names]
        bars = axis.barh(names, values, color=colors)
        axis.bar_label(bars, fmt="%.3g", padding=3)
        axis.set_title(title)
        axis.margins(x=0.15)
        axis.invert_yaxis()
        axis.spines[["top", "right"]].set_visible(False)
    _stack(axes.flat[4], told["cpu_ms_by_process"])
    axes.flat[5].axis("off")
    figure.suptitle(
        f"{told['documents']:,} documents, model {told['model']}, median of {told['rounds']} rounds"
    )
    figure.savefig(target, dpi=110)
    pyplot.close(figure)


def _stack(axis: Any, by_process: dict[str, dict[str, float]]) -> None:
    """One bar a system, in pieces by process; shards together."""
    colors = {
        "nginx": "#577590",
        "gateway": "#43aa8b",
        "api": "#43aa8b",
        "encoder": "#f9844a",
        "shards": "#f9c74f",
        "store": "#f9c74f",
    }
    labelled: set[str] = set()
    for place, processes in enumerate(by_process.values()):
        pieces: dict[str, float] = {}
        for name, ms in processes.items():
            piece = "shards" if name.startswith("shard") else name
            pieces[piece] = pieces.get(piece, 0.0) + ms
        left = 0.0
        for piece, ms in pieces.items():
            label = None if piece in labelled else piece
            axis.barh(place, ms, left=left, color=colors[piece], label=label)
            labelled.add(piece)
            left += ms
    axis.set_yticks(range(len(by_process)), list(by_process))
    axis.invert_yaxis()
    axis.set_title("CPU ms per question, by process")
    axis.legend(loc="lower right", fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)

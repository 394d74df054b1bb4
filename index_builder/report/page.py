"""The page: a manifest and its figures as one HTML file that needs nothing else."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from app.generation.file_names import shard_dir
from app.generation.manifest import Manifest
from app.generation.manifest_parts import ShardInfo
from index_builder.evaluate import chosen_row
from index_builder.report import charts
from index_builder.report.environment import new_environment
from index_builder.report.figures import SCORE_STEP, Base, Figures, Scores
from index_builder.report.languages import NAMES
from index_builder.report.remarks import remarks

# Colours that are told apart; more shards go round the circle by the golden angle.
HUES = (255, 50, 150, 345, 95, 300, 200, 25)
# Languages that have a row of their own: so many, and of so large a part of the texts. What is
# rarer is as likely a wrong guess.
LANGUAGES, RARE = 8, 0.01


class ShardRow(NamedTuple):
    """A shard in the table. ``own`` is None where it is not known; ``sizes`` are bytes by part."""

    info: ShardInfo
    own: int | None
    sizes: Counter[str]


class Compared(NamedTuple):
    """A figure, now and in the base."""

    name: str
    now: str
    before: str


def rendered(manifest: Manifest, figures: Figures) -> str:
    """The page; the same for the same figures."""
    environment = new_environment(Path(__file__).parent)
    environment.filters |= {"megabytes": megabytes, "hue": hue, "language": _language}
    shards = list(_shards(manifest, figures))
    return environment.get_template("page.html.j2").render(
        m=manifest,
        f=figures,
        chosen=chosen_row(manifest.routing),
        remarks=remarks(manifest, figures),
        size=sum(shard.memory_bytes for shard in manifest.shards),
        shards=shards,
        most_rows=max(shard.documents for shard in manifest.shards),
        most_bytes=max(sum(row.sizes.values()) for row in shards),
        lengths=_lengths(figures),
        languages=_languages(figures),
        recall=_recall(manifest),
        scores=_scores(figures),
        bubbles=charts.bubbles(figures.clusters),
        compared=[] if figures.base is None else _compared(manifest, figures, figures.base),
        charts=charts,
    )


def megabytes(size: float) -> str:
    """A size in bytes as people read it."""
    for unit, worth in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= worth:
            return f"{size / worth:.1f} {unit}"
    return f"{size:.0f} B"


def hue(shard: int) -> int:
    """The colour of a shard, in degrees."""
    return HUES[shard] if shard < len(HUES) else round(shard * 137.508) % 360


def _language(code: str) -> str:
    return NAMES.get(code, code) if code else "unsure"


def _shards(manifest: Manifest, figures: Figures) -> Iterator[ShardRow]:
    for info in manifest.shards:
        sizes = Counter({"vectors": 0, "texts": 0, "words": 0, "filters": 0})
        for name, file in manifest.files.items():
            directory, _, base = name.rpartition("/")
            if directory != shard_dir(info.shard):
                continue
            part = "vectors" if base == "index.faiss" else "words"
            if name == manifest.store(info.shard):
                part = "texts"
            elif base.startswith("filter-"):
                part = "filters"
            sizes[part] += file.size
        yield ShardRow(info, figures.own[info.shard] if figures.own else None, sizes)


def _lengths(figures: Figures) -> dict[str, object]:
    texts = figures.texts
    edges = [place * texts.step for place in range(len(texts.lengths))]
    names = [f"{low} to {high - 1} characters" for low, high in pairwise(edges)]
    step = max(charts.step_of(max(texts.lengths), 4), 1)
    y = charts.upwards(0, math.ceil(max(texts.lengths) / step) * step)
    bars = charts.bars(texts.lengths, y, [*names, f"{edges[-1]} or more"])
    marks = [charts.Tick(bars[place].x, f"{edges[place]:,}") for place in range(0, len(edges), 4)]
    return {"bars": bars, "x": marks, "y": y.ticks(step, "{:,.0f}")}


def _languages(figures: Figures) -> list[tuple[str, int]]:
    """The commonest, and the others together; what is unsure is last."""
    found = dict(figures.texts.languages)
    unsure = found.pop("", 0)
    ordered = sorted(found.items(), key=lambda one: (-one[1], one[0]))
    shown = [one for one in ordered if one[1] >= RARE * figures.texts.guessed][:LANGUAGES]
    rows = [(_language(code), count) for code, count in shown]
    if others := sum(count for _, count in ordered[len(shown) :]):
        rows.append(("others", others))
    return [*rows, ("unsure", unsure)] if unsure else rows


def _recall(manifest: Manifest) -> dict[str, object]:
    table, chosen = manifest.routing.table, chosen_row(manifest.routing)
    targets = (manifest.routing.target_recall_at_1, manifest.routing.target_recall_at_10)
    least = min(min(row.recall_at_1, row.recall_at_10) for row in table)
    step = charts.step_of(1.0 - min(least, *targets), 4)
    x = charts.across(1.0, max(row.fan_out for row in table))
    y = charts.upwards(max(1.0 - step * 5, 0.0) if least < 1 - 4 * step else 1 - 4 * step, 1.0)
    return {
        "lines": [
            charts.line("first", [(row.fan_out, row.recall_at_1) for row in table], x, y),
            charts.line("ten", [(row.fan_out, row.recall_at_10) for row in table], x, y),
        ],
        "targets": [("first", y(targets[0])), ("ten", y(targets[1]))],
        "chosen": [
            ("first", x(chosen.fan_out), y(chosen.recall_at_1)),
            ("ten", x(chosen.fan_out), y(chosen.recall_at_10)),
        ],
        "x": x.ticks(charts.step_of(x.high - x.low, 5), "{:.4g}"),
        "y": y.ticks(step, "{:.4g}"),
    }


def _scores(figures: Figures) -> dict[str, object] | None:
    if (now := figures.scores) is None:
        return None
    base = figures.base.scores if figures.base else None
    known: list[tuple[str, tuple[int, ...]]] = [("ten", now.tenth), ("first", now.best)]
    if base is not None:
        known.append(("base", base.best))
    used = [place for _, counts in known for place, count in enumerate(counts) if count]
    low = max(min(used) - 1, 0) * SCORE_STEP
    top = max(share for _, counts in known for _, share in charts.shares(counts))
    step = charts.step_of(top, 4)
    x, y = charts.across(low, 1.0), charts.upwards(0.0, math.ceil(top / step) * step)
    return {
        "lines": [
            charts.line(name, [one for one in charts.shares(counts) if one[0] > low], x, y)
            for name, counts in known
        ],
        "x": x.ticks(charts.step_of(1 - low, 5), "{:.2g}"),
        "y": y.ticks(step, "{:.3g}"),
        "base": base,
        "table": _score_rows(now, base),
    }


def _score_rows(now: Scores, base: Scores | None) -> list[tuple[str, list[int | None]]]:
    rows: list[tuple[str, list[int | None]]] = []
    for place in range(len(now.best)):
        counts: list[int | None] = [now.best[place], now.tenth[place]]
        counts += [base.best[place]] if base else []
        if any(counts):
            rows.append((f"{place * SCORE_STEP:.2f} to {(place + 1) * SCORE_STEP:.2f}", counts))
    return rows


def _compared(manifest: Manifest, figures: Figures, base: Base) -> list[Compared]:
    chosen = chosen_row(manifest.routing)
    size = sum(shard.memory_bytes for shard in manifest.shards)
    rows = [
        Compared("documents", f"{manifest.documents:,}", f"{base.documents:,}"),
        Compared("stored", f"{manifest.stored:,}", f"{base.stored:,}"),
        Compared("bytes of all shards", megabytes(size), megabytes(base.bytes)),
        Compared("shards asked", f"{chosen.fan_out:.2f}", f"{base.fan_out:.2f}"),
        Compared("recall@1", f"{chosen.recall_at_1:.4f}", f"{base.recall_at_1:.4f}"),
        Compared("recall@10", f"{chosen.recall_at_10:.4f}", f"{base.recall_at_10:.4f}"),
    ]
    if figures.scores is not None and base.scores is not None:
        medians = figures.scores.median, base.scores.median
        rows.append(Compared("median of the best score", *(f"{one:.3f}" for one in medians)))
    return rows

"""How filtered questions are routed: measured under filters of this corpus, and drawn ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.generation.filters import Condition
from app.generation.manifest_parts import FilterRow, Filters
from app.generation.routing import FEW, ask_until, centroid_scores, shard_mass
from index_builder.evaluate import NEIGHBOURS, Sample, with_truth
from index_builder.filterable import Filterable
from index_builder.layout import Layout
from index_builder.workers import HERE, Workers

QUESTIONS = 1000
# The commonest values of each field that are measured, and parts of the corpus drawn by lot.
VALUES = 10
DRAWN = (0.1, 0.01)
TEMPERATURES = (0.05, 0.07, 0.1, 0.15, 0.2)
THRESHOLDS = (
    0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.985, 0.99, 0.993, 0.995, 0.997,
    0.998, 0.999, 0.9995, 0.9999, 1.0,
)  # fmt: skip


def choose_filters(
    filterable: Filterable,
    vectors: NDArray[np.float32],
    layout: Layout,
    sample: Sample,
    targets: tuple[float, float],
    seed: int,
    workers: Workers = HERE,
) -> Filters:
    """The temperature and threshold that ask fewest shards, and reach both targets in each filter.

    Where none reaches them, every shard that may hold a document is asked.

    Args:
        filterable: the fields of the corpus.
        vectors: (t, dim) of the texts.
        layout: where documents are.
        sample: questions.
        targets: recall@1 and recall@10 against exact search among what passes.
        seed: of what is drawn.
        workers: what searches.
    """
    every = max(len(sample.vectors) // QUESTIONS, 1)
    asked, exclude = sample.vectors[::every], sample.exclude[::every]
    holds = np.zeros((len(vectors) + 1, len(layout.stored)), np.bool_)  # the last: not there
    for shard, own in enumerate(layout.stored):
        holds[own, shard] = True
    measured = []
    for name, mask in _filters(filterable, layout.texts.documents, seed):
        rows = np.flatnonzero(mask[layout.texts.owners])
        places = with_truth(
            vectors, layout.texts.owners, asked, exclude, among=rows, workers=workers
        ).truth
        passing = np.bincount(layout.clusters[rows], minlength=len(layout.centroids))
        documents = int(np.count_nonzero(mask))
        measured.append(_Measured(name, documents, places >= 0, holds[places], passing))
    scores = centroid_scores(asked, layout.centroids)
    return min(
        (_best(filterable, measured, scores, layout, one, targets) for one in TEMPERATURES),
        key=lambda one: (not _reached(one.table, targets), _fan_out(one.table)),
    )


def _best(
    filterable: Filterable,
    measured: Sequence[_Measured],
    scores: NDArray[np.float32],
    layout: Layout,
    temperature: float,
    targets: tuple[float, float],
) -> Filters:
    """The smallest threshold at this temperature that reaches both targets in each filter, or 1."""
    masses = [one.mass(scores, layout, temperature) for one in measured]
    for threshold in THRESHOLDS:
        table = tuple(one.row(*mass, threshold) for one, mass in zip(measured, masses, strict=True))
        if _reached(table, targets):
            break
    return Filters(filterable.fields, temperature, threshold, table)


@dataclass(frozen=True, slots=True)
class _Measured:
    """One filter.

    Attributes:
        name: for people.
        documents: that pass.
        real: (m, 10) which places of the exact answers there are.
        holds: (m, 10, shards) which shards store each of them.
        passing: (clusters,) how many documents of each pass.
    """

    name: str
    documents: int
    real: NDArray[np.bool_]
    holds: NDArray[np.bool_]
    passing: NDArray[np.int64]

    def mass(
        self, scores: NDArray[np.float32], layout: Layout, temperature: float
    ) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """As of ``routing.shard_mass``, as a router has it under this filter."""
        live = np.flatnonzero(self.passing)
        owners, worth = layout.cluster_shard[live], np.sqrt(self.passing[live])
        shards = len(layout.stored)
        return shard_mass(scores[:, live], owners, shards, temperature, NEIGHBOURS, worth)

    def row(
        self, mass: NDArray[np.float64], order: NDArray[np.intp], threshold: float
    ) -> FilterRow:
        """What a threshold gives."""
        asked = ask_until(mass, order, threshold) & (mass.sum(axis=0) > 0)
        found = (self.holds & asked[:, None, :]).any(axis=2) & self.real
        first = found[:, 0].sum() / max(self.real[:, 0].sum(), 1)
        ten = found.sum() / max(self.real.sum(), 1)
        fan_out = float(asked.sum(axis=1).mean())
        return FilterRow(
            self.name, self.documents, round(float(first), 4), round(float(ten), 4),
            round(fan_out, 3),
        )  # fmt: skip


def _filters(
    filterable: Filterable, count: int, seed: int
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """The filters that are measured: those that enough documents pass for a threshold to count."""
    for number, (field, column) in enumerate(
        zip(filterable.fields, filterable.columns, strict=True)
    ):
        for name, condition in _conditions(filterable, number):
            mask = column.meeting(condition)
            if np.count_nonzero(mask) >= FEW:
                yield f"{field.name} {name}", mask
    draw = np.random.default_rng(seed)
    for part in DRAWN:
        mask = draw.random(count) < part
        if np.count_nonzero(mask) >= FEW:
            yield f"{part:.0%} by lot", mask


def _conditions(filterable: Filterable, number: int) -> Iterator[tuple[str, Condition]]:
    """The commonest values of a field; of numbers the lower and the upper half."""
    values = filterable.columns[number].values
    if filterable.fields[number].kind == "number":
        middle = float(np.median(values))
        label = filterable.label(number, middle)
        yield f"<= {label}", Condition(number, None, high=middle)
        yield f">= {label}", Condition(number, None, low=middle)
        return
    distinct, many = np.unique(values, return_counts=True)
    for value in distinct[np.argsort(-many, kind="stable")[:VALUES]]:
        label = filterable.label(number, value)
        yield f"= {label}", Condition(number, np.array([value], values.dtype))


def _reached(table: Sequence[FilterRow], targets: tuple[float, float]) -> bool:
    """Whether each filter reaches the targets: the worst of many is that by chance, too."""
    return all(row.recall_at_1 >= targets[0] and row.recall_at_10 >= targets[1] for row in table)


def _fan_out(table: Sequence[FilterRow]) -> float:
    return sum(row.fan_out for row in table) / max(len(table), 1)

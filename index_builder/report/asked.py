"""Questions asked of a sealed generation: how near their documents are, and near-duplicates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.generation.rows import Row
from app.generation.shard_part import Hit
from index_builder.replay import Replay
from index_builder.report.figures import SCORE_STEP, NearDuplicates, Pair, Scores

K = 10
# Two questions so near differ in a word or two.
NEAR = 0.98
EXAMPLES, LONGEST = 5, 160


def answers(replay: Replay, vectors: NDArray[np.float32], own: Sequence[str]) -> list[list[Hit]]:
    """The ten nearest documents of each question (n, dim), by score alone; none its own.

    ``own`` are ids (n), "" for a question that is no document.
    """
    found = replay.search(np.ascontiguousarray(vectors), K + 1, "auto").hits
    return [
        [hit for hit in hits if hit.row.id != name][:K]
        for hits, name in zip(found, own, strict=True)
    ]


def scores_of(found: Sequence[Sequence[Hit]]) -> Scores | None:
    """Their distribution; None where no question found anything."""
    best = [hits[0].score for hits in found if hits]
    if not best:
        return None
    tenth = [hits[K - 1].score for hits in found if len(hits) >= K]
    return Scores(len(found), _bars(best), _bars(tenth), round(float(np.median(best)), 4))


def near_duplicates(documents: Sequence[Row], found: Sequence[Sequence[Hit]]) -> NearDuplicates:
    """How many documents have another one that is nearly the same; the nearest pairs."""
    pairs: dict[frozenset[str], Pair] = {}
    having = 0
    for row, hits in zip(documents, found, strict=True):
        if hits and hits[0].score >= NEAR:
            having += 1
            other = hits[0].row
            pair = Pair(_cut(row.text), _cut(other.text), round(hits[0].score, 4))
            pairs.setdefault(frozenset((row.id, other.id)), pair)
    nearest = sorted(pairs.values(), key=lambda pair: (-pair.score, pair.one, pair.other))
    return NearDuplicates(len(documents), having, NEAR, tuple(nearest[:EXAMPLES]))


def _bars(scores: Sequence[float]) -> tuple[int, ...]:
    count = round(1 / SCORE_STEP)
    bars = np.clip((np.array(scores) / SCORE_STEP).astype(int), 0, count - 1)
    return tuple(np.bincount(bars, minlength=count).tolist())


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"

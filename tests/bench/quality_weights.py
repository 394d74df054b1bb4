"""What each weight of words gives, on an exact index with all shards asked.

And what a builder would give that chose the weight from 200 labelled questions: the mean of what
its choices give on the questions held out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index_builder.choose_weight import USUAL, WEIGHTS, best_of
from index_builder.labelled import Labelled, quality
from index_builder.replay import Replay

LABELS = 200
CHOICES = 200
HEAD = (
    f"{'exact, by weight of words':<28}"
    + "".join(f"{weight:>19}" for weight in WEIGHTS)
    + f"{'chosen':>16}"
)


def weights_row(
    name: str, generation: Path, labelled: Labelled, vectors: NDArray[np.float32]
) -> str:
    """hit@1, recall@10 and nDCG@10 by weight; what a chosen one gains in hit@1, held out."""
    cells, hits = [], []
    for weight in WEIGHTS:
        replay = Replay(generation, weight=weight)
        found = replay.search(vectors, 10, "all", labelled.questions)
        got = quality(found.ids, labelled.relevant)
        cells.append(f"{got.hit_at_1:.3f}{got.recall_at_10:6.3f}{got.ndcg_at_10:6.3f}")
        first = zip(found.ids, labelled.relevant, strict=True)
        hits.append([ids[:1] != [] and ids[0] in right for ids, right in first])
    gains = list(_gains(np.array(hits, np.float64)))
    gain = f"{np.mean(gains) * 100:+.2f} points" if gains else "-"
    return f"{name:<28}" + "".join(f"{cell:>19}" for cell in cells) + f"{gain:>16}"


def _gains(right: NDArray[np.float64]) -> Iterator[float]:
    """For choices of the labelled: hit@1 held out by the weight chosen, less the usual one's.

    ``right`` is of ``best_of``.
    """
    count, usual = right.shape[1], WEIGHTS.index(USUAL)
    if count < 2 * LABELS:
        return
    for seed in range(CHOICES):
        order = np.random.default_rng(seed).permutation(count)
        labelled, held_out = order[:LABELS], order[LABELS:]
        best = best_of(right[:, labelled])
        yield float((right[best] - right[usual])[held_out].mean())

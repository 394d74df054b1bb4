"""Clusters on a map: where they lie, and the words that tell them from the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from app.generation.routing import Router
from app.generation.rows import Row
from index_builder.report.figures import Cluster
from index_builder.report.sampled import Sampled

# The largest clusters are shown, so that a map takes a second or two.
SHOWN = 600
WORDS = 5
WORD = r"(?u)\b[^\W\d_]\w+\b"
ALIKE = 4  # letters: bird and birds
READ = 300  # characters of a text
LONGEST = 24  # of a word; scripts without spaces have long ones
# Fewer clusters have no neighbourhoods to keep.
LEAST = 20
SEED = 1


def clusters_of(sample: Sampled, router: Router, texts: int) -> tuple[Cluster, ...]:
    """The largest clusters, the largest first.

    Args:
        sample: its texts.
        router: the centroids.
        texts: how many the generation has; those of a cluster are estimated.
    """
    if sample.clusters is None:
        return ()
    counts = np.bincount(sample.clusters, minlength=len(router.centroids))
    largest = np.lexsort((np.arange(len(counts)), -counts))[:SHOWN]
    sizes = np.rint(counts * texts / max(counts.sum(), 1)).astype(int)
    words = telling_words(sample.rows, sample.clusters, largest)
    return tuple(
        Cluster(number, int(router.cluster_shard[number]), int(sizes[number]), x, y, own)
        for number, (x, y), own in zip(
            largest.tolist(), projected(router.centroids[largest]).tolist(), words, strict=True
        )
    )


def projected(centroids: NDArray[np.float32]) -> NDArray[np.float64]:
    """Points (n, 2) from 0 to 1 for centroids (n, dim), near each other where those are."""
    count = len(centroids)
    if count < LEAST:
        flat = np.zeros((count, 2))
        if count > 2:
            from sklearn.decomposition import PCA

            flat = PCA(2, svd_solver="full").fit_transform(centroids.astype(np.float64))
        elif count == 2:
            flat[1, 0] = 1.0
    else:
        from sklearn.manifold import TSNE

        # Its threads wait for each other longer than they work.
        with threadpool_limits(1):
            flat = TSNE(
                2, init="pca", metric="cosine", max_iter=300, random_state=SEED,
                perplexity=min(30.0, (count - 1) / 3),
            ).fit_transform(centroids)  # fmt: skip
    low, high = flat.min(axis=0), flat.max(axis=0)
    unit = np.where(high > low, (flat - low) / np.where(high > low, high - low, 1.0), 0.5)
    return np.asarray(np.round(unit.astype(np.float64), 4))


def telling_words(
    rows: Sequence[Row], clusters: NDArray[np.int64], wanted: NDArray[np.int64]
) -> list[tuple[str, ...]]:
    """For each wanted cluster its words, best first: common there, and not in all the others."""
    from sklearn.feature_extraction.text import CountVectorizer  # takes a second

    texts = [_text(row) for row in rows]
    order = np.argsort(clusters, kind="stable")
    ends = np.searchsorted(clusters[order], wanted, side="right")
    starts = np.searchsorted(clusters[order], wanted)
    joined = [
        "\n".join(texts[place] for place in order[start:end])
        for start, end in zip(starts, ends, strict=True)
    ]
    counter = CountVectorizer(token_pattern=WORD)
    try:
        counts = counter.fit_transform(joined).tocsr()
    except ValueError:  # numbers alone
        return [() for _ in joined]
    names = counter.get_feature_names_out()
    having = np.bincount(counts.indices, minlength=len(names))
    # A word that every cluster has counts only where there is no other.
    weights = np.log(len(joined) / having) ** 2 + 0.01
    found = []
    for at in range(len(joined)):
        own = slice(counts.indptr[at], counts.indptr[at + 1])
        held = counts.indices[own]
        best = np.lexsort((held, -counts.data[own] * weights[held]))
        found.append(_first(str(names[word]) for word in held[best]))
    return found


def _first(words: Iterable[str]) -> tuple[str, ...]:
    """The first words, of those that begin alike one."""
    found: dict[str, str] = {}
    for word in words:
        found.setdefault(word[:ALIKE], _cut(word))
        if len(found) == WORDS:
            break
    return tuple(found.values())


def _text(row: Row) -> str:
    return ((row.answer or "") if row.matched == "answer" else row.text)[:READ]


def _cut(word: str) -> str:
    return word if len(word) <= LONGEST else f"{word[: LONGEST - 1]}…"

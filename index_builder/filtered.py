"""Filtered questions on an unsealed generation, and the canaries that prove them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.generation.canary import Canary
from app.generation.columns import Columns
from app.generation.file_names import shard_dir
from app.generation.filtering import Filtering
from app.generation.filters import filter_text
from app.generation.manifest_parts import Filters, ShardInfo
from app.generation.merge import merge
from index_builder.canaries import K
from index_builder.document_rows import DocumentRows
from index_builder.evaluate import AsQuestions
from index_builder.searched import Searched

COUNT = 8


@dataclass(frozen=True, slots=True)
class Filtered:
    """What answers under filters.

    Attributes:
        searched: what answers without.
        filtering: of the gateways.
        columns: of each shard.
    """

    searched: Searched
    filtering: Filtering
    columns: Sequence[Columns]

    @classmethod
    def read(
        cls, unfinished: Path, filters: Filters, searched: Searched, shards: Sequence[ShardInfo]
    ) -> Filtered:
        """As written; raises GenerationError."""
        columns = [
            Columns.load(unfinished / shard_dir(one.shard), filters.fields, one.documents)
            for one in shards
        ]
        clusters = len(searched.layout.centroids)
        return cls(searched, Filtering.read(unfinished, filters, clusters), columns)

    def by_score(
        self, query: NDArray[np.float32], k: int, wanted: str
    ) -> tuple[NDArray[np.int64], list[float]]:
        """The ``k`` nearest of a question (1, dim) that pass: places in the corpus, and scores."""
        searched = self.searched
        asked = searched.router.probe(query, "auto", self.filtering.passed(wanted))
        places, scores = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
        for shard in np.flatnonzero(asked[0]).tolist():
            passing = self.columns[shard].passing(wanted)
            hits = searched.indexes[shard].search(query, k, passing=passing)
            real = hits.rows[0] >= 0
            places.append(searched.layout.documents(shard)[hits.rows[0][real]])
            scores.append(hits.scores[0][real])
        found, got = np.concatenate(places), np.concatenate(scores).astype(np.float64).tolist()
        best = merge(searched.layout.numbers[found].tolist(), got, k)
        return found[best], [got[at] for at in best]


def filtered_canaries(rows: DocumentRows, ask: AsQuestions, filtered: Filtered) -> list[Canary]:
    """Documents spread over the corpus, asked under the commonest values of each field."""
    filters = list(islice(_filters(filtered.filtering), COUNT))
    documents = len(filtered.searched.layout.numbers)
    chosen = np.linspace(0, documents - 1, len(filters)).astype(np.int64)
    canaries = []
    for place, query, wanted in zip(chosen.tolist(), ask(chosen)[:, None], filters, strict=True):
        places, scores = filtered.by_score(query, K, wanted)
        canaries.append(
            Canary(
                question=rows.get([place])[0].text,
                ids=tuple(document.id for document in rows.get(places.tolist())),
                scores=tuple(scores),
                filter=wanted,
            )
        )
    return canaries


def _filters(filtering: Filtering) -> Iterator[str]:
    """The commonest value of each field, then the next of each; of numbers as a range."""
    values = [
        [_wanted(field.name, field.kind, value) for value, _ in listed.values]
        for field, listed in zip(filtering.filters.fields, filtering.listed, strict=True)
    ]
    for several in zip_longest(*values):
        yield from (one for one in several if one is not None)


def _wanted(name: str, kind: str, value: object) -> str:
    return filter_text({name: {"gte": value} if kind == "number" else value})

"""The FAISS index of one shard: kinds, loading, searching.

Results do not depend on what is searched beside them: FAISS would switch to a blocked matrix
product for batches, which rounds differently; here every question is searched the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from app.errors import GenerationError
from app.generation.passing import Passing

NAME = "index.faiss"
# Candidates that are compared exactly for each row beyond those that need all of the index's
# recall. With 4 a list of 50 of an index of 4 bits has 0.977 of the exact one.
DEEP = 4.0
# Where a smaller part of the rows passes a filter, comparing them all exactly is as cheap. Where
# more pass, so many times as many candidates as without a filter are compared exactly: what passes
# may be far from the question, and its codes tell less (decision 44).
SPARSE = 0.12
FILTERED = 4.0

Rank = Callable[[NDArray[np.int64]], NDArray[np.int64]]
"""The ordinals of rows: what decides between equal scores."""

Search = Callable[[NDArray[np.float32], int], Any]
"""A question (1, dim) and how many -> scores and rows, (1, n) each."""

# Its stubs do not know what its parameters take.
_PARAMETERS: Any = faiss

faiss.omp_set_num_threads(1)
# Never the BLAS path, never the reservoir: one rounding and one rule for ties (earlier row wins).
faiss.cvar.distance_compute_blas_threshold = 1 << 30
faiss.cvar.distance_compute_min_k_reservoir = 1 << 30


@dataclass(frozen=True, slots=True)
class Hits:
    """Nearest rows per question: ``rows`` (n, k) int64, -1 where there are fewer; ``scores``."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


class ShardIndex:
    """A searchable index over unit vectors; scores are inner products, best first.

    Equal scores come in the order of ``rank``, or of the rows where there is none.

    Args:
        index: of FAISS.
        rank: ordinals of rows, for ties.
        several: whether rows of one ordinal are of one document, of which the best row counts.
    """

    hidden: frozenset[int] = frozenset()
    """None: ``VisibleIndex`` has some (withdrawn_rows.py)."""

    def __init__(self, index: Any, rank: Rank | None = None, *, several: bool = False) -> None:
        if index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise GenerationError("the index does not score by inner product")
        self._index = index
        self._rank = rank
        self._several = several and rank is not None
        self.dim: int = index.d
        self.count: int = index.ntotal

    @classmethod
    def load(
        cls, path: Path, *, dim: int, count: int, rank: Rank | None = None, several: bool = False
    ) -> ShardIndex:
        """Map the file, which has been checked: FAISS believes what it reads.

        Args:
            path: the index file.
            dim: dimension that the manifest promises.
            count: rows that the manifest promises.
            rank: ordinals of rows, for ties.
            several: whether a document may have several rows.

        Raises: GenerationError naming what differs.
        """
        try:
            index = cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC), rank, several=several)
        except RuntimeError as error:
            raise GenerationError(f"{path} is not a readable FAISS index: {error}") from error
        if (index.dim, index.count) != (dim, count):
            raise GenerationError(
                f"{path} holds {index.count} vectors of {index.dim} dimensions, "
                f"the manifest says {count} of {dim}"
            )
        return index

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        wanted: int | None = None,
        passing: Passing | None = None,
    ) -> Hits:
        """The ``k`` nearest rows of each question (n, dim); ties by rank.

        FAISS keeps any of the rows that tie for the last place. So one more is asked for, and
        more still while the last place is tied, before the lowest of them are taken; and while
        they are of fewer documents than are wanted. Where documents may have two rows, half as many
        again are asked for at once: nine times in ten that is enough.

        Args:
            queries: the questions.
            k: how many.
            wanted: of a lossy index, how many need the recall that it was tuned for; the others
                are looked for with less effort. All by default.
            passing: the rows that may be found; all by default.

        Raises: GenerationError when the index cannot be searched.
        """
        count = len(queries)
        limit = self.count if passing is None else passing.count
        search = self._way(wanted, k, passing)
        k = min(k, limit)
        rows = np.full((count, k), -1, dtype=np.int64)
        scores = np.full((count, k), -np.inf, dtype=np.float32)
        if k == 0:  # FAISS refuses to look for nothing
            return Hits(rows, scores)
        first = k + (k // 2 if self._several else 0) + 1
        for place in range(count):
            query, asked = queries[place : place + 1], min(first, limit)
            while True:
                [found_scores], [found] = search(query, asked)
                best = self._in_order(found, found_scores)
                clear = len(best) > k and found_scores[best[-1]] < found_scores[best[k - 1]]
                if asked == limit or found[-1] < 0 or clear:
                    break
                asked = min(2 * asked, limit)
            best = best[:k]
            rows[place, : len(best)], scores[place, : len(best)] = found[best], found_scores[best]
        return Hits(rows, scores)

    def scores(self, query: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The scores of rows for one question (dim,), bit for bit those that ``search`` finds.

        Raises: GenerationError where the index cannot tell the score of a row (``scores_rows``).
        """
        found = np.empty(len(rows), np.float32)
        query = np.ascontiguousarray(query)
        try:
            computer = self._exact().get_distance_computer()
            computer.set_query(faiss.swig_ptr(query))
            for place, row in enumerate(rows.tolist()):
                found[place] = computer(row)
        except RuntimeError as error:
            raise GenerationError(f"the index has no score of a row: {error}") from error
        return found

    @property
    def scores_rows(self) -> bool:
        """Whether ``scores`` is possible: not where vectors lie in lists, or as codes alone."""
        try:
            self._exact().get_distance_computer()
        except RuntimeError:
            return False
        return True

    def _exact(self) -> Any:
        """What has the vectors whose scores are final; of a graph what lies under it."""
        for name in ("refine_index", "storage"):
            if (inner := getattr(self._index, name, None)) is not None:
                return faiss.downcast_index(inner)
        return self._index

    def _way(self, wanted: int | None, k: int, passing: Passing | None) -> Search:
        """How the index is searched for ``k`` rows, of which ``wanted`` need all of its recall."""
        index, parameters = self._index, self._effort(wanted, k)
        if passing is not None and passing.of_all < SPARSE:
            if self.scores_rows:
                index = self._exact()
                parameters = _PARAMETERS.SearchParameters(sel=passing.selector)
            else:  # every list: the few may be in any
                parameters = _PARAMETERS.SearchParametersIVF(
                    sel=passing.selector, nprobe=index.nlist
                )
        elif passing is not None:
            parameters = _only(index, parameters, passing)

        def search(query: NDArray[np.float32], asked: int) -> Any:
            try:
                return index.search(query, asked, params=parameters)
            except RuntimeError as error:  # what FAISS raises for everything
                raise GenerationError(f"the index cannot be searched: {error}") from error

        return search

    def _effort(self, wanted: int | None, k: int) -> Any:
        """How many candidates for each of ``k`` rows are compared exactly; None for as tuned.

        About as many in all as for ``wanted`` rows, but no fewer than ``DEEP`` for each row.
        """
        tuned = getattr(self._index, "k_factor", 0.0)
        if wanted is None or wanted >= k or tuned <= DEEP:
            return None
        factor = min(max(tuned * (wanted + 1) / (k + 1), DEEP), tuned)
        effort = faiss.IndexRefineSearchParameters()
        effort.k_factor = factor
        return effort

    def _in_order(self, found: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.intp]:
        """The positions of rows that were found, best first; of a document's rows the best."""
        if not self._several or self._rank is None:
            return np.lexsort((self._keys(found, scores), -scores))
        real = np.flatnonzero(found >= 0)
        ranks = self._rank(found[real])
        order = np.lexsort((found[real], ranks, -scores[real]))
        first = np.sort(np.unique(ranks[order], return_index=True)[1])
        return real[order[first]]

    def _keys(self, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.int64]:
        """What decides between equal scores: ranks are looked up only where there are any."""
        if self._rank is None or not (scores[1:] == scores[:-1]).any():
            return rows
        keys, real = rows.copy(), rows >= 0
        keys[real] = self._rank(rows[real])
        return keys


def _only(index: Any, effort: Any, passing: Passing) -> Any:
    """The parameters of a search among the rows that pass a filter.

    Lists hold few that pass where few do, so more of them are scanned.
    """
    if hasattr(index, "k_factor"):
        return _PARAMETERS.IndexRefineSearchParameters(
            k_factor=FILTERED * (effort or index).k_factor,
            base_index_params=_only(faiss.downcast_index(index.base_index), None, passing),
        )
    selector = passing.selector
    if hasattr(index, "nprobe"):
        lists = min(math.ceil(index.nprobe / max(passing.of_all, SPARSE)), index.nlist)
        return _PARAMETERS.SearchParametersIVF(sel=selector, nprobe=lists)
    if hasattr(index, "hnsw"):
        effort = math.ceil(index.hnsw.efSearch / max(passing.of_all, SPARSE))
        return _PARAMETERS.SearchParametersHNSW(sel=selector, efSearch=effort)
    return _PARAMETERS.SearchParameters(sel=selector)


def write_index(index: Any, path: Path) -> None:
    """Write a FAISS index to ``path``."""
    faiss.write_index(index, str(path))

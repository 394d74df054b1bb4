"""How many border copies: what each amount would cost and gain is measured before any is written.

More copies make a question ask fewer shards, and every shard larger. The cost of a question is
modelled as ``CPU_REST + shards asked * (CPU_SHARD + CPU_SCAN * documents of a shard)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from app.generation.manifest_parts import StorageRow
from index_builder.border import Candidates
from index_builder.evaluate import Masses, Sample, choose_routing, chosen_row

AMOUNTS = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
# Without a limit given: twice the corpus, and what float32 took with a quarter of copies.
MOST = 2.0
MOST_BYTES = 5.0  # a dimension and document
# CPU ms (`make bench` at 8 clients, docs/performance.md): edge, encoder and gateway; a call to a
# shard with the gateway's part in it; a million documents scanned by PQ codes in one thread.
CPU_REST = 2.2
CPU_SHARD = 0.35
CPU_SCAN = 5.4e-6
# What costs so little more than the cheapest is as cheap: the smaller storage is taken.
ALIKE = 1.01


@dataclass(frozen=True, slots=True)
class Placed:
    """Documents in their shards, and the copies that could be made.

    Attributes:
        home: (n,) shard of each document.
        candidates: copies, the worthiest first.
        shards: how many.
    """

    home: NDArray[np.int32]
    candidates: Candidates
    shards: int


def choose_storage(
    placed: Placed,
    sample: Sample,
    masses: Masses,
    targets: tuple[float, float],
    stored_bytes: float,
    limit: float | None,
) -> tuple[float, tuple[StorageRow, ...]]:
    """The storage (stored documents over documents) with the cheapest questions within a limit.

    Args:
        placed: the documents and their possible copies.
        sample: questions and their truth.
        masses: how the router sees them.
        targets: recall@1 and recall@10 against exact search.
        stored_bytes: of one stored document's vector.
        limit: bytes a document, copies included; None for MOST and MOST_BYTES.

    Returns: it, and a row for each amount that was measured. Indexes are taken to be exact here.
    """
    count = len(placed.home)
    if limit is None:
        limit = min(MOST * stored_bytes, max(MOST_BYTES * sample.vectors.shape[1], stored_bytes))
    rows: list[StorageRow] = []
    for amount in AMOUNTS:
        copies = min(int((amount - 1.0) * count), len(placed.candidates.ordinals))
        storage = round(1.0 + copies / count, 4)
        if rows and (storage == rows[-1].storage or storage * stored_bytes > limit):
            break
        routing = choose_routing(sample, _held(placed, sample, copies), masses, targets)
        chosen = chosen_row(routing)
        rows.append(
            StorageRow(
                storage=storage,
                fan_out=chosen.fan_out,
                recall_at_1=chosen.recall_at_1,
                recall_at_10=chosen.recall_at_10,
                bytes_per_document=round(storage * stored_bytes),
                cpu_ms=round(_cpu_ms(chosen.fan_out, storage * count / placed.shards), 3),
            )
        )
    cheapest = min(row.cpu_ms for row in rows)
    return next(row.storage for row in rows if row.cpu_ms <= cheapest * ALIKE), tuple(rows)


def bytes_of(kind: str, dim: int) -> float:
    """What an index of this kind keeps of one vector of ``dim`` dimensions."""
    index = faiss.index_factory(dim, kind, faiss.METRIC_INNER_PRODUCT)
    if isinstance(index, faiss.IndexHNSW):  # it has no code: float32, and its links on level 0
        return float(4 * dim + 4 * index.hnsw.nb_neighbors(0))  # type: ignore[attr-defined]  # not in its stubs
    return float(index.sa_code_size())


def _cpu_ms(fan_out: float, documents: float) -> float:
    return CPU_REST + fan_out * (CPU_SHARD + CPU_SCAN * documents)


def _held(placed: Placed, sample: Sample, copies: int) -> NDArray[np.bool_]:
    """Which shards hold which of the true answers: (m, 10, shards) booleans."""
    needed = np.unique(sample.truth[sample.truth >= 0])
    held = np.zeros((len(needed) + 1, placed.shards), dtype=np.bool_)  # the last row: no answer
    held[np.arange(len(needed)), placed.home[needed]] = True
    ordinals = placed.candidates.ordinals[:copies]
    place = np.searchsorted(needed, ordinals)
    there = np.flatnonzero((place < len(needed)) & (np.append(needed, -1)[place] == ordinals))
    held[place[there], placed.candidates.targets[:copies][there]] = True
    at = np.where(sample.truth >= 0, np.searchsorted(needed, sample.truth), len(needed))
    return held[at]

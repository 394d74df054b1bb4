"""The parts of a manifest: what a generation was made by, its shards, and how it routes."""

from __future__ import annotations

from typing import Literal

import msgspec

FEATURES = 5
"""What a confidence is computed from (confidence.Features)."""


class _Bound(msgspec.Struct, frozen=True, forbid_unknown_fields=True, repr_omit_defaults=True):
    """A part of the manifest whose ``repr`` the content hash covers (see ``content_hash_of``)."""


class ModelRef(_Bound, frozen=True):
    """The model that made every vector: fingerprint, name and dimension."""

    fingerprint: str
    name: str
    dim: int


class ShardInfo(_Bound, frozen=True):
    """One shard: documents (border copies included), its clusters, kind of index, memory need.

    A corpus of fewer distinct texts than shards leaves shards empty: no clusters, no documents.

    ``recall`` is the index's own recall@10 against exact search over the same shard.
    """

    shard: int
    documents: int
    clusters: tuple[int, ...]
    index_kind: str
    exact: bool
    recall: float
    memory_bytes: int


class RecallRow(_Bound, frozen=True):
    """What one threshold gave on the sample: recall against exact search, mean shards asked."""

    threshold: float
    recall_at_1: float
    recall_at_10: float
    fan_out: float


class StorageRow(_Bound, frozen=True):
    """What one amount of border copies was measured to give, before one was chosen.

    ``storage`` is stored documents over documents; ``bytes_per_document`` are of vectors, copies
    included; ``cpu_ms`` of a question by the builder's model (index_builder/storage.py).
    """

    storage: float
    fan_out: float
    recall_at_1: float
    recall_at_10: float
    bytes_per_document: int
    cpu_ms: float


class WeightRow(_Bound, frozen=True):
    """With this weight of words, the share of labelled questions whose first answer is right."""

    weight: float
    hit_at_1: float


class Rescoring(_Bound, frozen=True):
    """How candidates are ordered again by their words (see rescoring.py).

    Of the ``depth`` best by score, the order is by score + ``weight`` * coverage. Documents that
    have a name of the question join them, where at most ``sharing`` have it (see names.py); 0: none
    do. Where the weight was chosen by ``labels`` labelled questions, ``measured`` is what each
    weight gave.
    """

    weight: float
    depth: int
    sharing: int = 0
    labels: int = 0
    measured: tuple[WeightRow, ...] = ()


class ConfidenceRow(_Bound, frozen=True):
    """Which ``min_confidence`` gives this precision; which share of right answers it lets pass."""

    precision: float
    min_confidence: float
    answered: float


class Confidence(_Bound, frozen=True):
    """How sure an answer is, as fitted from labels (see confidence.py).

    ``weights`` are of the features in their order; ``labels`` are questions. ``table`` is measured
    by cross-validation.
    """

    labels: int
    intercept: float
    weights: tuple[float, ...]
    table: tuple[ConfidenceRow, ...]


class FilterField(_Bound, frozen=True):
    """A field of the documents' metadata that a search may filter by."""

    name: str
    kind: Literal["keyword", "number", "boolean"]


class FilterRow(_Bound, frozen=True):
    """What one filter gave on the sample: how many documents pass, recall, mean shards asked."""

    filter: str
    documents: int
    recall_at_1: float
    recall_at_10: float
    fan_out: float


class Filters(_Bound, frozen=True):
    """What a search may filter by, and how filtered questions are routed (see filtering.py).

    ``table`` has the filters that temperature and threshold were chosen by.
    """

    fields: tuple[FilterField, ...]
    temperature: float
    threshold: float
    table: tuple[FilterRow, ...]


class AlsoSearched(_Bound, frozen=True):
    """A field that is searched beside the question: documents may have two rows (see texts.py).

    Attributes:
        field: which.
        texts: questions, and answers that are searched, border copies not counted.
        stored: rows that are answers, border copies counted.
        stored_bytes: of all shards, that those rows take.
        labels: questions with a right document that the gain was measured on.
        hit_at_1: share of them whose first answer is right, by questions alone, and by both.
    """

    field: Literal["answer"]
    texts: int
    stored: int
    stored_bytes: int
    labels: int = 0
    hit_at_1: tuple[float, ...] = ()


class RoutingInfo(_Bound, frozen=True):
    """Parameters of the router (see routing.py) and the table they were chosen from.

    ``storage`` has the amounts of border copies that were measured; none where one was given.
    ``rescoring`` is None where answers are ordered by score alone, ``confidence`` where no labels
    were given, ``filters`` where no field may be filtered by,
    ``also`` where questions alone are searched.
    """

    temperature: float
    neighbours: int
    threshold: float
    target_recall_at_1: float
    target_recall_at_10: float
    sample: int
    table: tuple[RecallRow, ...]
    storage: tuple[StorageRow, ...] = ()
    rescoring: Rescoring | None = None
    confidence: Confidence | None = None
    filters: Filters | None = None
    also: AlsoSearched | None = None

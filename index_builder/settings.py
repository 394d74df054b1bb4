"""What shapes a generation, beside corpus and model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.errors import BuildError
from index_builder.filterable import Kind
from index_builder.index_kind import check_kind


@dataclass(frozen=True, slots=True)
class Settings:
    """What shapes a generation, beside corpus and model.

    Attributes:
        shards: how many.
        index: auto, lean, exact, or a FAISS factory string (``index_kind.check_kind``).
        storage: stored documents over documents, at most; 1 means no border copies; None measures
            what each amount gives, or keeps the base's.
        bytes_per_document: the most bytes of vectors of one document, copies included, that None
            may choose; None for the default (``storage.choose_storage``).
        recall_at_1: target against exact search.
        recall_at_10: target against exact search.
        rescore_weight: of the words of a question beside its score; 0 orders by score alone; None
            measures it on the labels, or takes the usual one (``choose_weight``).
        filterable: metadata fields that a search may filter by (``filterable.wanted_fields``).
        also_search: a field that is searched beside the question, or "".
        sample: questions to measure with.
        seed: of everything random.
    """

    shards: int
    index: str = "auto"
    storage: float | None = None
    bytes_per_document: float | None = None
    recall_at_1: float = 0.995
    recall_at_10: float = 0.987
    rescore_weight: float | None = None
    filterable: tuple[tuple[str, Kind | None], ...] = ()
    also_search: Literal["", "answer"] = ""
    sample: int = 2000
    seed: int = 1

    @property
    def targets(self) -> tuple[float, float]:
        """Recall@1 and recall@10."""
        return self.recall_at_1, self.recall_at_10


def check_settings(settings: Settings) -> None:
    """Raises BuildError for a setting outside its range."""
    if not 1 <= settings.shards <= 1000:
        raise BuildError(f"--shards {settings.shards}: use 1 to 1000")
    if settings.storage is not None and not 1.0 <= settings.storage <= 3.0:
        raise BuildError(f"--storage {settings.storage}: use auto, or 1.0 (no copies) to 3.0")
    limit = settings.bytes_per_document
    if limit is not None and not limit > 0:
        raise BuildError(f"--bytes-per-document {limit:g}: use a number above 0")
    if limit is not None and settings.storage is not None:
        raise BuildError("--bytes-per-document is a limit for --storage auto: leave one out")
    for name, value in (("1", settings.recall_at_1), ("10", settings.recall_at_10)):
        if not 0.5 <= value <= 1.0:
            raise BuildError(f"--recall-at-{name} {value}: use 0.5 to 1.0")
    weight = settings.rescore_weight
    if weight is not None and not 0.0 <= weight <= 2.0:
        raise BuildError(f"--rescore-weight {weight}: use auto, or 0 (off) to 2.0")
    if settings.sample < 1:
        raise BuildError(f"--sample {settings.sample}: use at least 1")
    check_kind(settings.index)

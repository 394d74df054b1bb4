"""The index of a base's shard, and whether the shard's new vectors may be put into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from index_builder.index_kind import choose_kind, kind_by_size, same_family


@dataclass(frozen=True, slots=True)
class Trained:
    """An index without its vectors.

    Attributes:
        kind: its FAISS factory string.
        documents: how many vectors it had.
        index: as FAISS writes it, (bytes,) uint8.
    """

    kind: str
    documents: int
    index: NDArray[np.uint8]

    def kept(
        self, vectors: NDArray[np.float32], wanted: str, *, filtered: bool = False
    ) -> tuple[str, Any | None]:
        """The kind of index for a shard that is to hold ``vectors`` (n, dim), and this one.

        This index is kept where it is of the kind that the shard's new size and content ask for;
        otherwise it is None. With ``auto`` a kind that ``auto`` did not choose for the base stays,
        and so does what an older builder's ``auto`` chose, as long as the shard's size asks for it:
        a small change is a small transfer.
        """
        held, (count, dim) = self.kind, vectors.shape
        if wanted == "auto" and self.documents:
            rules = _rules(held, self.documents, dim, (False, True))
            # What takes filters serves without them, too.
            if not rules or rules & _rules(
                held, count, dim, (True,) if filtered else (False, True)
            ):
                wanted = held
        kind = choose_kind(vectors, wanted, filtered=filtered)
        if kind != held and not (wanted == "lean" and same_family(kind, held)):
            return kind, None
        return held, faiss.deserialize_index(self.index)


def _rules(held: str, count: int, dim: int, filtered: tuple[bool, ...]) -> set[str]:
    """The rules that choose such an index for ``count`` documents, with filters or without."""
    return {
        rule
        for rule in ("auto", "before")
        for one in filtered
        if same_family(held, kind_by_size(count, dim, rule, filtered=one))
    }

"""A document, its part of an answer (its record), and what is asked of a shard's documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.errors import GenerationError

ENDS = b',"score":'
# Records that are read together where all are read.
BATCH = 1000


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """One document; ``metadata`` is undecoded JSON.

    ``matched`` is what a row of an index stands for: the document's question, or its answer, where
    both are searched.

    ``ordinal`` is its number in the whole corpus: copies in other shards have the same, and equal
    scores come in its order. Ordinals ascend with the corpus; those of a generation that was built
    on another have gaps, and what is new is numbered last.
    """

    ordinal: int
    id: str
    text: str
    answer: str | None
    metadata: msgspec.Raw
    matched: Literal["question", "answer"] = "question"


def record_of(row: Row) -> bytes:
    """A document's part of an answer."""
    return msgspec.json.encode(row)[:-1] + ENDS


# Made once: threads that decode a type for the first time at the same moment can crash msgspec.
_ROW = msgspec.json.Decoder(Row)


def row_of(record: bytes) -> Row:
    """The document of a record; raises GenerationError when it is damaged."""
    try:
        return _ROW.decode(record.removesuffix(ENDS) + b"}")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise GenerationError("a document's record is damaged") from error


class Store(Protocol):
    """What a shard needs of its documents; safe for threads, nothing is ever written."""

    count: int

    def fetch(self, rows: Sequence[int]) -> list[bytes]:
        """The records of these rows, in that order; raises GenerationError where that fails."""


def everything(store: Store) -> Iterator[Row]:
    """Every document, in the order of the rows; raises GenerationError."""
    for start in range(0, store.count, BATCH):
        yield from map(row_of, store.fetch(range(start, min(start + BATCH, store.count))))


def ordinals(store: Store, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ordinals of the documents in these rows, in that order; raises GenerationError."""
    found = (row_of(record).ordinal for record in store.fetch(rows.tolist()))
    return np.fromiter(found, np.int64, len(rows))

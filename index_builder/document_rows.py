"""The ingested corpus by place, for writing each shard's documents."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.generation.documents import BATCH, Row, read_only


class DocumentRows:
    """Reads `documents(ordinal, id, text, answer, metadata)`; one thread, read-only."""

    def __init__(self, path: Path) -> None:
        self._uri = read_only(path)

    def get(self, places: Sequence[int]) -> list[Row]:
        """The documents at these places of the corpus, in that order.

        `local` is their position in the list, `ordinal` their place.
        """
        marks = ",".join("?" * len(places))
        query = (
            "SELECT ordinal, id, text, answer, metadata FROM documents "  # noqa: S608  # only marks
            f"WHERE ordinal IN ({marks})"
        )
        with closing(sqlite3.connect(self._uri, uri=True)) as connection:
            found = {values[0]: values for values in connection.execute(query, list(places))}
        return [Row(local, *found[place]) for local, place in enumerate(places)]

    def stream(self, places: NDArray[np.int64], ordinals: NDArray[np.int64]) -> Iterator[Row]:
        """The documents of one shard, and their ordinals, in the order of its index."""
        for start in range(0, len(places), BATCH):
            rows = self.get(places[start : start + BATCH].tolist())
            for local, row in enumerate(rows, start):
                yield row._replace(local=local, ordinal=int(ordinals[local]))

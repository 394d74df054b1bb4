"""The ingested corpus by ordinal, for writing each shard's documents."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.generation.documents import BATCH, Row


class DocumentRows:
    """Reads `documents(ordinal, id, text, answer, metadata)`; one thread, read-only."""

    def __init__(self, path: Path) -> None:
        self._uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"

    def get(self, ordinals: Sequence[int]) -> list[Row]:
        """The documents with these ordinals, in that order; `local` is their place in the list."""
        marks = ",".join("?" * len(ordinals))
        query = (
            "SELECT ordinal, id, text, answer, metadata FROM documents "  # noqa: S608  # only marks
            f"WHERE ordinal IN ({marks})"
        )
        with closing(sqlite3.connect(self._uri, uri=True)) as connection:
            found = {values[0]: values for values in connection.execute(query, list(ordinals))}
        return [Row(local, *found[ordinal]) for local, ordinal in enumerate(ordinals)]

    def stream(self, ordinals: NDArray[np.int64]) -> Iterator[Row]:
        """The documents of one shard in the order of its index."""
        for start in range(0, len(ordinals), BATCH):
            for row in self.get(ordinals[start : start + BATCH].tolist()):
                yield row._replace(local=start + row.local)

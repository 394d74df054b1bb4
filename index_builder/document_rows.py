"""The ingested corpus by place, for writing each shard's documents, and by id."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.generation.rows import Row

# SQLite's default limit on bound values is 32,766; a statement of ours stays well below.
BATCH = 1000


class DocumentRows:
    """Reads `documents(ordinal, id, text, answer, metadata)`; one thread, read-only."""

    def __init__(self, path: Path) -> None:
        self._uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"

    def get(self, places: Sequence[int]) -> list[Row]:
        """The documents at these places of the corpus, in that order; `ordinal` is their place."""
        query = "SELECT ordinal, id, text, answer, metadata FROM documents WHERE ordinal IN"
        with closing(sqlite3.connect(self._uri, uri=True)) as connection:
            found = {
                ordinal: Row(ordinal, name, text, answer, msgspec.Raw((raw or "null").encode()))
                for ordinal, name, text, answer, raw in _selected(connection, query, places)
            }
        return [found[place] for place in places]

    def answers(self) -> Iterator[tuple[int, str]]:
        """Place and answer of every document that has one, in the order of the corpus."""
        query = "SELECT ordinal, answer FROM documents WHERE answer IS NOT NULL ORDER BY ordinal"
        with closing(sqlite3.connect(self._uri, uri=True)) as connection:
            yield from connection.execute(query)

    def stream(
        self,
        places: NDArray[np.int64],
        ordinals: NDArray[np.int64],
        answers: NDArray[np.bool_],
    ) -> Iterator[Row]:
        """The documents of one shard, and their ordinals, in the order of its index.

        ``answers`` are the rows that stand for an answer.
        """
        for start in range(0, len(places), BATCH):
            some = slice(start, start + BATCH)
            rows = self.get(places[some].tolist())
            for row, ordinal, answer in zip(
                rows, ordinals[some].tolist(), answers[some].tolist(), strict=True
            ):
                matched = "answer" if answer else "question"
                yield msgspec.structs.replace(row, ordinal=ordinal, matched=matched)

    def texts(self, places: NDArray[np.int64]) -> Iterator[list[str]]:
        """The texts of these places, in that order, in batches."""
        query = "SELECT ordinal, text FROM documents WHERE ordinal IN"
        with closing(sqlite3.connect(self._uri, uri=True)) as connection:
            for start in range(0, len(places), BATCH):
                wanted = places[start : start + BATCH].tolist()
                found = dict(_selected(connection, query, wanted))
                yield [found[place] for place in wanted]

    def metadata(self) -> Iterator[tuple[str, bytes]]:
        """Id and metadata, as JSON, of every document, in the order of the corpus."""
        query = "SELECT id, metadata FROM documents ORDER BY ordinal"
        with closing(sqlite3.connect(self._uri, uri=True)) as connection:
            for name, raw in connection.execute(query):
                yield name, (raw or "null").encode()

    def places(self, held: Iterable[tuple[str, int]]) -> Iterator[tuple[int, int]]:
        """Of ids, each with a number, the places in the corpus of those it has, and the numbers."""
        query, left = "SELECT id, ordinal FROM documents WHERE id IN", iter(held)
        with closing(sqlite3.connect(self._uri, uri=True)) as connection:
            while batch := dict(islice(left, BATCH)):
                for name, place in _selected(connection, query, list(batch)):
                    yield place, batch[name]


def _selected(
    connection: sqlite3.Connection, query: str, values: Sequence[object]
) -> sqlite3.Cursor:
    return connection.execute(f"{query} ({','.join('?' * len(values))})", values)

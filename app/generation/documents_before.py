"""Documents as they were before decision 34, in SQLite: generations of schema 1.

A fleet is upgraded with such generations served, goes back to them and builds on them. This module
may go, with schema 1, one release after the first that writes schema 2.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from queue import LifoQueue
from typing import Any

import msgspec

from app.errors import GenerationError
from app.generation.rows import BATCH, Row, record_of

# Reads at one time. More than these wait for a connection, for less than a millisecond each.
CONNECTIONS = 8


class DocumentsBefore:
    """Read access to a ``documents.sqlite``, as `documents.Store` says.

    All connections are open from the start, so that a file that is removed or replaced later is
    still read to the end as it was.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._free: LifoQueue[sqlite3.Connection] = LifoQueue()
        uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        try:
            for _ in range(CONNECTIONS):
                self._free.put(sqlite3.connect(uri, uri=True, check_same_thread=False))
            with self._connection() as connection:
                (self.count,) = connection.execute("SELECT count(*) FROM documents").fetchone()
        except sqlite3.Error as error:
            raise GenerationError(f"{path} is not a document store: {error}") from error

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection that no other thread uses meanwhile."""
        connection = self._free.get()
        try:
            yield connection
        finally:
            self._free.put(connection)

    def fetch(self, rows: Sequence[int]) -> list[bytes]:
        """The records of these rows; raises GenerationError when the file is damaged there."""
        found = {}
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            marks = ",".join("?" * len(batch))
            query = f"SELECT * FROM documents WHERE local IN ({marks})"  # noqa: S608  # marks
            try:
                with self._connection() as connection:
                    selected = _selected(connection, query, batch)
            except sqlite3.Error as error:
                # Not its text, which may have a document's.
                reason = getattr(error, "sqlite_errorname", type(error).__name__)
                raise GenerationError(f"{self._path} cannot be read: {reason}") from error
            for local, ordinal, name, text, answer, metadata in selected:
                raw = msgspec.Raw((metadata or "null").encode())
                found[local] = record_of(Row(ordinal, name, text, answer, raw))
        try:
            return [found[row] for row in rows]
        except KeyError as error:
            raise GenerationError(f"{self._path} has no document {error}") from error


def _selected(connection: sqlite3.Connection, query: str, values: Sequence[int]) -> list[Any]:
    """All rows; after an error nothing of what was read is kept, so that the next try reads anew.

    Raises: sqlite3.Error.
    """
    try:
        with closing(connection.execute(query, values)) as cursor:
            return cursor.fetchall()
    except sqlite3.Error:
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA shrink_memory")
        raise

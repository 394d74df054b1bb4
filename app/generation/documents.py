"""The documents of one shard: SQLite, read-only, by local row number."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from app.errors import GenerationError

NAME = "documents.sqlite"
# SQLite's default limit on bound values is 32,766; a statement of ours stays well below.
BATCH = 1000


class Row(NamedTuple):
    """One document; ``local`` is its row in the shard's index, ``ordinal`` in the corpus.

    ``metadata`` is JSON text or None.
    """

    local: int
    ordinal: int
    id: str
    text: str
    answer: str | None
    metadata: str | None


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write a new store; the same rows give the same bytes."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(
            "CREATE TABLE documents (local INTEGER PRIMARY KEY, ordinal INTEGER NOT NULL, "
            "id TEXT NOT NULL, text TEXT NOT NULL, answer TEXT, metadata TEXT)"
        )
        connection.executemany("INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.commit()
    finally:
        connection.close()


class Documents:
    """Read access for many threads: one connection each, nothing is ever written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        self._threads = threading.local()
        try:
            (self.count,) = self._connection().execute("SELECT count(*) FROM documents").fetchone()
        except sqlite3.Error as error:
            raise GenerationError(f"{path} is not a document store: {error}") from error

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._threads, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._uri, uri=True)
            self._threads.connection = connection
        return connection

    def fetch(self, locals_: Sequence[int]) -> dict[int, Row]:
        """The documents with these row numbers, in as few statements as SQLite allows.

        Raises: GenerationError when the file is damaged there.
        """
        found: dict[int, Row] = {}
        wanted = list(dict.fromkeys(locals_))
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            marks = ",".join("?" * len(batch))
            query = f"SELECT * FROM documents WHERE local IN ({marks})"  # noqa: S608  # only marks
            try:
                rows = self._connection().execute(query, batch).fetchall()
            except sqlite3.Error as error:
                raise GenerationError(f"{self._path} cannot be read: {error}") from error
            found.update((row.local, row) for row in map(Row._make, rows))
        return found

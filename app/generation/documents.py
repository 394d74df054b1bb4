"""The documents of one shard: SQLite, read-only, by local row number."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import GenerationError

NAME = "documents.sqlite"
# SQLite's default limit on bound values is 32,766; a statement of ours stays well below.
BATCH = 1000


class Row(NamedTuple):
    """One document; ``local`` is its row in the shard's index.

    ``ordinal`` is its number in the whole corpus: copies in other shards have the same, and equal
    scores come in its order. Ordinals ascend with the corpus; those of a generation that was built
    on another have gaps, and what is new is numbered last. ``metadata`` is JSON text or None.
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


def write_over(path: Path, base: Path, rows: Iterable[Row]) -> None:
    """Write a new store as changes to a copy of ``base``; the same two give the same bytes.

    Rows that are as in ``base`` keep their bytes at their place. Nothing of other rows is left.

    Args:
        path: the new store.
        base: a store that ``write`` or ``write_over`` made.
        rows: all rows of the new store, ``local`` ascending from 0.
    """
    shutil.copyfile(base, path)
    count = 0

    def changed(held: Iterable[tuple[object, ...]]) -> Iterable[Row]:
        nonlocal count
        for row, before in zip_longest(rows, held):
            if row is None:
                return
            count += 1
            if row != before:
                yield row

    with (
        closing(sqlite3.connect(read_only(base), uri=True)) as old,
        closing(sqlite3.connect(path)) as connection,
    ):
        for setting in ("journal_mode=OFF", "synchronous=OFF", "secure_delete=ON"):
            connection.execute(f"PRAGMA {setting}")
        connection.executemany(
            "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?, ?)",
            changed(old.execute("SELECT * FROM documents ORDER BY local")),
        )
        connection.execute("DELETE FROM documents WHERE local >= ?", (count,))
        connection.commit()


def read_only(path: Path) -> str:
    """The URI by which SQLite reads a sealed store and never writes beside it."""
    return f"{path.resolve().as_uri()}?mode=ro&immutable=1"


class Documents:
    """Read access for many threads: one connection each, nothing is ever written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._uri = read_only(path)
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
        wanted = list(dict.fromkeys(locals_))
        return {row.local: row for row in map(Row._make, self._select("*", wanted))}

    def ordinals(self, locals_: NDArray[np.int64]) -> NDArray[np.int64]:
        """The ordinals of the documents with these row numbers, each of them there, in that order.

        Raises: GenerationError when the file is damaged there.
        """
        found = dict(self._select("local, ordinal", locals_.tolist()))
        return np.array([found[local] for local in locals_.tolist()], dtype=np.int64)

    def _select(self, columns: str, locals_: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(locals_), BATCH):
            batch = locals_[start : start + BATCH]
            marks = ",".join("?" * len(batch))
            query = f"SELECT {columns} FROM documents WHERE local IN ({marks})"  # noqa: S608  # marks
            try:
                yield from self._connection().execute(query, batch).fetchall()
            except sqlite3.Error as error:
                raise GenerationError(f"{self._path} cannot be read: {error}") from error

"""The documents of one shard: SQLite, read-only, by local row number."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import zip_longest
from pathlib import Path
from queue import LifoQueue
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import GenerationError

NAME = "documents.sqlite"
# SQLite's default limit on bound values is 32,766; a statement of ours stays well below.
BATCH = 1000
# Reads at one time. More than these wait for a connection, for less than a millisecond each.
CONNECTIONS = 8


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
    """Read access for many threads; nothing is ever written.

    All connections are open from the start, so that a file that is removed or replaced later is
    still read to the end as it was.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._free: LifoQueue[sqlite3.Connection] = LifoQueue()
        try:
            for _ in range(CONNECTIONS):
                connection = sqlite3.connect(read_only(path), uri=True, check_same_thread=False)
                self._free.put(connection)
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

    def fetch(self, locals_: Sequence[int]) -> dict[int, Row]:
        """The documents with these row numbers, in as few statements as SQLite allows.

        Raises: GenerationError when the file is damaged there, or has no such row.
        """
        wanted = list(dict.fromkeys(locals_))
        found = {row.local: row for row in map(Row._make, self._select("*", wanted))}
        if len(found) < len(wanted):
            raise GenerationError(f"{self._path} has only {len(found)} of {len(wanted)} documents")
        return found

    def ordinals(self, locals_: NDArray[np.int64]) -> NDArray[np.int64]:
        """The ordinals of the documents with these row numbers, each of them there, in that order.

        Raises: GenerationError when the file is damaged there.
        """
        found = dict(self._select("local, ordinal", locals_.tolist()))
        try:
            return np.array([found[local] for local in locals_.tolist()], dtype=np.int64)
        except KeyError as error:
            raise GenerationError(f"{self._path} has no document {error}") from error

    def _select(self, columns: str, locals_: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(locals_), BATCH):
            batch = locals_[start : start + BATCH]
            marks = ",".join("?" * len(batch))
            query = f"SELECT {columns} FROM documents WHERE local IN ({marks})"  # noqa: S608  # marks
            try:
                with self._connection() as connection:
                    rows = _fetched(connection, query, batch)
            except sqlite3.Error as error:
                # Not its text, which may have a document's.
                reason = getattr(error, "sqlite_errorname", type(error).__name__)
                raise GenerationError(f"{self._path} cannot be read: {reason}") from error
            yield from rows


def _fetched(connection: sqlite3.Connection, query: str, values: Sequence[int]) -> list[Any]:
    """All rows; after an error nothing of what was read is kept, so that the next try reads anew.

    Raises: sqlite3.Error.
    """
    try:
        return connection.execute(query, values).fetchall()
    except sqlite3.Error:
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA shrink_memory")
        raise

"""Documents on disk, numbered in the order of the corpus, and their content digest."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import orjson

from app.errors import CorpusError
from index_builder.corpus.document import Document

_TABLE = """
CREATE TABLE documents (
    ordinal INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, text TEXT NOT NULL,
    answer TEXT, metadata TEXT
)
"""
_INSERT = "INSERT OR IGNORE INTO documents VALUES (?, ?, ?, ?, ?)"


class DocumentWriter:
    """Write `documents(ordinal, id, text, answer, metadata as JSON)`; ordinals run from 0.

    A context manager. The file appears under its name when `seal` is called, whole or not at all.
    Memory stays bounded: SQLite's own index finds repeated ids.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._digest = hashlib.sha256(b"askfleet corpus 1\n")
        self.count = 0

    def __enter__(self) -> DocumentWriter:
        self._partial.unlink(missing_ok=True)
        self._database = sqlite3.connect(self._partial, isolation_level=None)
        for setting in (
            "journal_mode = OFF",  # a half-written file is thrown away, never repaired
            "synchronous = OFF",
            "locking_mode = EXCLUSIVE",
            "cache_size = -262144",  # KiB
        ):
            self._database.execute(f"PRAGMA {setting}")
        self._database.execute(_TABLE)
        self._database.execute("BEGIN")
        self._cursor = self._database.cursor()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()
        self._partial.unlink(missing_ok=True)
        if isinstance(error, sqlite3.Error):
            raise CorpusError(f"{self._path}: cannot be written: {error}") from error

    def add(self, document: Document) -> bool:
        """Append a document; False, and nothing written, if its id is there already."""
        metadata = None
        if document.metadata is not None:
            metadata = orjson.dumps(document.metadata, option=orjson.OPT_SORT_KEYS).decode()
        row = (self.count, document.id, document.text, document.answer, metadata)
        if self._cursor.execute(_INSERT, row).rowcount == 0:
            return False
        self._digest.update(orjson.dumps(row[1:]))
        self._digest.update(b"\n")
        self.count += 1
        return True

    def seal(self) -> str:
        """Put the file in its place; returns the content digest, 64 hex digits.

        The digest is over id, text, answer and metadata of all documents in order: neither the
        format of the files they came from nor how they were divided matters.
        """
        self._database.execute("COMMIT")
        self._database.close()
        with self._partial.open("rb") as written:
            os.fsync(written.fileno())
        self._partial.replace(self._path)
        return self._digest.hexdigest()


def read_documents(path: Path, start: int = 0, stop: int | None = None) -> Iterator[Document]:
    """Documents with ordinals `start` to before `stop`, in order."""
    query = "SELECT id, text, answer, metadata FROM documents WHERE ordinal >= ? AND ordinal < ?"
    for name, text, answer, metadata in _select(path, query, start, stop):
        yield Document(
            str(name), str(text), answer, None if metadata is None else orjson.loads(metadata)
        )


def read_texts(path: Path, start: int = 0, stop: int | None = None) -> list[str]:
    """Texts of the documents with ordinals `start` to before `stop`, in order."""
    query = "SELECT text FROM documents WHERE ordinal >= ? AND ordinal < ?"
    return [text for (text,) in _select(path, query, start, stop)]


def _select(path: Path, query: str, start: int, stop: int | None) -> Iterator[tuple[str, ...]]:
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        end = (1 << 62) if stop is None else stop
        yield from database.execute(f"{query} ORDER BY ordinal", (start, end))
    finally:
        database.close()

"""A generation as it was sealed before decision 34: documents in SQLite, manifest of schema 1."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from app.generation import files
from app.generation.manifest import NAME, STORES, Manifest, content_hash_of
from app.generation.rows import everything
from app.generation.shard_part import open_store

TABLE = (
    "CREATE TABLE documents (local INTEGER PRIMARY KEY, ordinal INTEGER NOT NULL, "
    "id TEXT NOT NULL, text TEXT NOT NULL, answer TEXT, metadata TEXT)"
)


def as_before(directory: Path, out: Path) -> Path:
    """Write the generation in ``directory`` to ``out`` as a release before would have."""
    now = Manifest.load(directory)
    copy = out / "unfinished"
    shutil.copytree(directory, copy)
    (copy / NAME).unlink()
    draft = msgspec.structs.replace(now, schema=1)
    for shard in range(len(now.shards)):
        (copy / now.store(shard)).unlink()
        with closing(sqlite3.connect(copy / draft.store(shard))) as connection:
            connection.execute(TABLE)
            for local, row in enumerate(everything(open_store(directory, now, shard))):
                raw = bytes(row.metadata).decode()
                values = (local, row.ordinal, row.id, row.text, row.answer)
                metadata = None if raw == "null" else raw
                connection.execute(
                    "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?)", (*values, metadata)
                )
            connection.commit()
    draft = msgspec.structs.replace(draft, files=files.describe(copy))
    content = content_hash_of(draft)
    old = msgspec.structs.replace(draft, id=f"{now.id[:-8]}{content[:8]}", content_hash=content)
    (copy / NAME).write_bytes(msgspec.json.encode(old))
    assert STORES[old.schema] == "documents.sqlite"
    return copy.rename(out / old.id)

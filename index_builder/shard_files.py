"""Writes the files of every shard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.generation import documents, shard_index
from app.generation.file_names import shard_dir
from app.generation.manifest import SCHEMA, STORES
from app.generation.manifest_parts import ShardInfo
from index_builder.base import Base
from index_builder.document_rows import DocumentRows
from index_builder.filterable import Filterable
from index_builder.handed import Handed
from index_builder.layout import Layout
from index_builder.progress import Progress
from index_builder.settings import Settings
from index_builder.shards import built_shard
from index_builder.trained import Trained
from index_builder.words import Words
from index_builder.workers import Workers


def write_shards(
    unfinished: Path,
    vectors: NDArray[np.float32],
    layout: Layout,
    rows: DocumentRows,
    settings: Settings,
    base: Base | None,
    words: Words | None,
    filterable: Filterable | None,
    workers: Workers,
    progress: Progress,
) -> tuple[ShardInfo, ...]:
    """Write each shard; its index is built while the documents of the next ones are written."""

    def calls() -> Iterator[tuple[Handed, str, int, Trained | None, bool]]:
        for shard, places in enumerate(layout.stored):
            part = unfinished / shard_dir(shard)
            part.mkdir()
            documents_at, ordinals = layout.documents(shard), layout.ordinals(shard)
            stream = rows.stream(documents_at, ordinals, layout.texts.answers[places])
            documents.write(part / STORES[SCHEMA], stream)
            if words is not None:
                words.write(part, documents_at, ordinals, rows.texts(documents_at))
            if filterable is not None:
                filterable.write_shard(part, documents_at)
            yield (
                workers.hand(vectors, places),
                settings.index,
                settings.seed,
                None if base is None else base.trained(shard),
                filterable is not None,
            )

    infos = {}
    total = sum(map(len, layout.stored))
    with progress.bar("indexing", total, "documents") as bar:
        for shard, (index, kind, recall, exact) in workers.each(built_shard, calls(), ahead=1):
            (unfinished / shard_dir(shard) / shard_index.NAME).write_bytes(index.data)
            infos[shard] = ShardInfo(
                shard=shard,
                documents=len(layout.stored[shard]),
                clusters=tuple(np.flatnonzero(layout.cluster_shard == shard).tolist()),
                index_kind=kind,
                exact=exact,
                recall=recall,
                memory_bytes=0,  # known when all of its files are written
            )
            bar.update(len(layout.stored[shard]))
    return tuple(infos[shard] for shard in sorted(infos))


def weighed(unfinished: Path, info: ShardInfo) -> ShardInfo:
    """The same with the size of its files, which are all written."""
    part = unfinished / shard_dir(info.shard)
    size = sum(path.stat().st_size for path in part.iterdir())
    return msgspec.structs.replace(info, memory_bytes=size)

"""A generation of the release before is read, served, verified, and built on, as it was."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from asgi_client import Client
from schema_1 import as_before
from small_generations import SmallGeneration, build_small, documents_of, link, shard_config

from app.errors import GenerationError
from app.generation.documents_before import BATCH, DocumentsBefore
from app.generation.manifest import Manifest
from app.generation.rows import everything
from app.generation.shard_part import ShardPart, open_store
from app.shard import create_app
from app.wire import vectors_to_bytes

TEXTS = [f"question number {number}" for number in range(1500)]


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> SmallGeneration:
    return build_small(tmp_path_factory.mktemp("now"), TEXTS)


@pytest.fixture
def before(now: SmallGeneration, tmp_path: Path) -> Path:
    return as_before(now.directory, tmp_path / "before")


def test_both_answer_the_same(now: SmallGeneration, before: Path, tmp_path: Path) -> None:
    """The parts of the answers, byte for byte."""
    client = Client(create_app(shard_config(link(tmp_path, now.directory, before), 1)))
    bodies = [
        client.post(
            f"/search?generation={directory.name}&k=50",
            data=vectors_to_bytes(now.vectors[:20]),
            headers={"Askfleet-Model": now.manifest.model.fingerprint},
        ).data.replace(directory.name.encode(), b"id")
        for directory in (now.directory, before)
    ]
    assert bodies[0] == bodies[1]
    assert len(json.loads(bodies[0])["results"]) == 20


def test_the_parts_of_an_answer_are_those_of_before(now: SmallGeneration, before: Path) -> None:
    manifest = Manifest.load(before)
    assert (manifest.schema, manifest.store(1)) == (1, "shard-001/documents.sqlite")
    manifest.verify(before, range(3), routing=True)
    for shard in range(3):
        own, old = (
            list(everything(open_store(directory, Manifest.load(directory), shard)))
            for directory in (now.directory, before)
        )
        assert own == old
        ShardPart.open(before, shard, verify=True).self_query()


def test_a_base_of_before_gives_what_a_base_of_now_does(
    now: SmallGeneration, before: Path, tmp_path: Path
) -> None:
    documents = documents_of(TEXTS)[15:] + documents_of([f"new {n}" for n in range(1520)])[1510:]
    after = [
        build_small(tmp_path / name, artefact=now.artefact, documents=documents, base=base)
        for name, base in (("a", now.directory), ("b", before))
    ]
    assert after[0].manifest.files == after[1].manifest.files
    assert after[0].manifest.schema == 2


def test_a_store_that_is_removed_is_read_as_it_was(before: Path) -> None:
    store = DocumentsBefore(before / "shard-000/documents.sqlite")
    whole = store.fetch(range(store.count))
    shutil.rmtree(before)
    assert store.fetch(range(store.count)) == whole


def test_more_than_one_statements_worth(tmp_path: Path) -> None:
    one = build_small(tmp_path, [f"text {n}" for n in range(2 * BATCH + 1)], shards=1)
    store = DocumentsBefore(as_before(one.directory, tmp_path / "b") / "shard-000/documents.sqlite")
    assert store.count == 2 * BATCH + 1
    ordinals = [row.ordinal for row in everything(store)]
    assert ordinals == np.arange(2 * BATCH + 1).tolist()


def test_damage_is_an_error_until_it_is_mended(tmp_path: Path) -> None:
    """With documents that do not fit into SQLite's memory."""
    one = build_small(tmp_path, [f"{n} " + "x" * 20_000 for n in range(200)], shards=1)
    path = as_before(one.directory, tmp_path / "before") / "shard-000/documents.sqlite"
    store, content = DocumentsBefore(path), path.read_bytes()
    os.truncate(path, 4096)
    with pytest.raises(GenerationError, match=r"documents\.sqlite cannot be read: SQLITE_"):
        store.fetch(range(store.count))
    with path.open("r+b") as same:
        same.write(content)
    assert len(store.fetch(range(store.count))) == store.count
    with pytest.raises(GenerationError, match=f"no document {store.count}"):
        store.fetch([0, store.count])


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough " * 40])
def test_what_is_no_store_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "documents.sqlite").write_bytes(content)
    with pytest.raises(GenerationError, match=r"documents\.sqlite is not a document store"):
        DocumentsBefore(tmp_path / "documents.sqlite")

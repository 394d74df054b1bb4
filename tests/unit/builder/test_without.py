"""A build leaves withdrawn documents out, says which, and is another generation for that."""

from pathlib import Path

import numpy as np
import pytest
from encoder_fakes import make_artefact
from small_generations import TEXTS, build_small, documents_of, silent, vectors_of

from app.errors import BuildError, CorpusError
from app.generation.manifest import Manifest
from app.generation.rows import everything
from app.generation.shard_part import open_store
from app.generation.withdrawn import NOTHING
from index_builder.corpus.ingest import ingest_documents
from index_builder.inputs import Inputs
from index_builder.pipeline import build
from index_builder.settings import Settings
from index_builder.summary import summary
from index_builder.without import leave_out, read_without
from index_builder.workers import HERE

OUT = frozenset({"d0003", "d0041", "nobody"})


def built(root: Path, without: frozenset[str], **more: object) -> tuple[Manifest, bool, Path]:
    made = sorted((root / "models").glob("*"))
    artefact = made[0] if made else make_artefact(root / "models", b"small")
    inputs = Inputs(
        ingest_documents(documents_of(TEXTS), root / "corpus"),
        artefact,
        vectors=vectors_of(TEXTS),
        without=without,
        **more,  # type: ignore[arg-type]  # passed on
    )
    settings = Settings(shards=3, index="exact", sample=50)
    manifest, new = build(inputs, settings, root / "generations", root / "work", HERE, silent())
    return manifest, new, root / "generations" / manifest.id


def ids_in(directory: Path, manifest: Manifest) -> set[str]:
    stores = (open_store(directory, manifest, shard) for shard in range(len(manifest.shards)))
    return {row.id for store in stores for row in everything(store)}


def test_they_are_left_out_and_named(tmp_path: Path) -> None:
    manifest, new, directory = built(tmp_path, OUT)
    assert new
    assert manifest.withdrawn == ("d0003", "d0041")
    assert manifest.absent == ("nobody",)
    assert manifest.documents == len(TEXTS) - 2
    assert ids_in(directory, manifest) == {one.id for one in documents_of(TEXTS)} - OUT
    assert "2 documents of the corpus left out: d0003, d0041" in summary(
        manifest, new, directory, []
    )
    assert Manifest.load(directory) == manifest
    assert built(tmp_path, OUT)[:2] == (manifest, False)


def test_undone_it_is_another_generation(tmp_path: Path) -> None:
    without = built(tmp_path, OUT)[0]
    whole, new, directory = built(tmp_path, frozenset())
    assert new
    assert (whole.inputs_hash, whole.content_hash) != (without.inputs_hash, without.content_hash)
    assert whole.withdrawn == ()
    assert "withdrawn" not in (directory / "manifest.json").read_text()
    assert built(tmp_path, frozenset({"nobody"}))[:2] == (whole, False), "nothing of it is here"


def test_the_same_documents_by_another_way_are_told_apart(tmp_path: Path) -> None:
    """A corpus that never had them is another input: its manifest names nobody."""
    without = built(tmp_path, OUT)[0]
    left = [one for one in documents_of(TEXTS) if one.id not in OUT]
    never = build_small(tmp_path, documents=left, artefact=next((tmp_path / "models").glob("*")))
    assert never.new
    assert never.manifest.inputs_hash != without.inputs_hash
    assert never.manifest.files == without.files


def test_what_the_seal_says_of_them_is_bound(tmp_path: Path) -> None:
    manifest, _, directory = built(tmp_path, OUT)
    path = directory / "manifest.json"
    path.write_text(path.read_text().replace('"d0041"', '"d0042"'))
    with pytest.raises(Exception, match="changed after it was sealed"):
        Manifest.load(directory)
    assert manifest.withdrawn[1] == "d0041"


def test_clusters_that_were_given_follow(tmp_path: Path) -> None:
    """Of the course's files; the cluster of one document goes with it."""
    labels = np.arange(len(TEXTS), dtype=np.int32) % 6
    labels[3] = 6
    centres = vectors_of([f"centre {number}" for number in range(7)])
    manifest, _, directory = built(tmp_path, OUT, labels=labels, centres=centres)
    assert manifest.clusters == 6
    assert not OUT & ids_in(directory, manifest)


def test_a_base_may_have_them(tmp_path: Path) -> None:
    whole = build_small(tmp_path, TEXTS)
    manifest, _, directory = built(tmp_path, OUT, base=whole.directory)
    assert not OUT & ids_in(directory, manifest)


def test_nothing_is_left(tmp_path: Path) -> None:
    corpus = ingest_documents(documents_of(TEXTS[:2]), tmp_path / "corpus")
    with pytest.raises(CorpusError, match="no document"):
        leave_out(corpus, frozenset({"d0000", "d0001"}))


def test_a_list_or_one_id_a_line(tmp_path: Path) -> None:
    path = tmp_path / "list"
    known = NOTHING.changed(["a", "né", "b"], "now", "x").changed(["b"], "now", "x", undo=True)
    path.write_bytes(known.content)
    assert read_without(path) == {"a", "né"}
    path.write_text("a\n\n  né\nx,y\n")
    assert read_without(path) == {"a", "né", "x,y"}
    path.write_text("\ufeffa\n", encoding="utf-8")
    assert read_without(path) == {"a"}, "a byte order mark is no part of an id"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (NOTHING.changed(["a", "b"], "now", "x").content[:-9], "damaged"),
        (b"a\nb\x00c\n", "list:2: an id has 1 to 512"),
        (b"\xff", "not UTF-8"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes | None, told: str) -> None:
    if content is not None:
        (tmp_path / "list").write_bytes(content)
    with pytest.raises(BuildError, match=told):
        read_without(tmp_path / "list")

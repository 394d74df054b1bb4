"""Two real models of different lengths in one encoder."""

from pathlib import Path

import numpy as np
import pytest
from asgi_client import Client
from encoder_fakes import make_config
from tiny_model import DIM, save_tiny_model
from use_model import publish_use

from app.encoder import create_app
from index_builder.publish import publish_model


@pytest.mark.slow
def test_two_models_of_different_length_answer_beside_each_other(tmp_path: Path) -> None:
    use = publish_use(tmp_path / "models")
    tiny = publish_model(
        str(save_tiny_model(tmp_path / "tiny")),
        tmp_path / "models",
        precision="fp32",
        report=lambda _: None,
    )
    client = Client(create_app(make_config(tmp_path, use, tiny)))
    texts = {"texts": ["Почему небо голубое?", "Why is the sky blue?"]}

    current = client.post("/encode", json=texts)
    assert (current.headers["Askfleet-Model"], current.headers["Askfleet-Dim"]) == (use.name, "512")
    vectors = np.frombuffer(current.data, dtype="<f4").reshape(2, 512)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert vectors[0] @ vectors[1] > 0.7

    previous = client.post(f"/encode?model={tiny.name}", json=texts)
    assert previous.headers["Askfleet-Model"] == tiny.name
    assert np.frombuffer(previous.data, dtype="<f4").shape == (2 * DIM,)

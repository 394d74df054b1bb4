import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from app.errors import ModelError
from app.generation.engine import open_engine
from app.generation.engines.onnx import load_tokenizer, onnx_session
from app.generation.model import Model
from index_builder.publish import publish_model

pytestmark = pytest.mark.slow  # its fixtures are

TEXT = "how do you turn on an iphone?"
OTHERS = ["why", "a much longer question that fills more tokens than the first", "?!"] * 5
DIGEST = """
import hashlib, sys
from pathlib import Path
from app.generation.engine import open_engine
print(hashlib.sha256(open_engine(Path(sys.argv[1])).encode([sys.argv[2]]).tobytes()).hexdigest())
"""


@pytest.fixture(scope="module", params=["w8", "int8"])
def artefact(
    tiny: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Path:
    out = tmp_path_factory.mktemp(request.param)
    return publish_model(str(tiny), out, precision=request.param, report=lambda _: None)


def test_neighbours_do_not_change_a_vector(artefact: Path) -> None:
    engine = open_engine(artefact)
    alone = engine.encode([TEXT])[0]
    assert np.array_equal(engine.encode([*OTHERS, TEXT, *OTHERS])[len(OTHERS)], alone)
    assert np.array_equal(engine.encode([TEXT, *OTHERS])[0], alone)


def test_threads_at_the_same_time_do_not_change_a_vector(artefact: Path) -> None:
    engine = open_engine(artefact)
    expected = engine.encode([TEXT, *OTHERS])
    with ThreadPoolExecutor(8) as pool:
        for vectors in pool.map(lambda _: engine.encode([TEXT, *OTHERS]), range(64)):
            assert np.array_equal(vectors, expected)


def test_a_new_process_gives_the_same_bits(artefact: Path) -> None:
    digest = hashlib.sha256(open_engine(artefact).encode([TEXT]).tobytes()).hexdigest()
    done = subprocess.run(
        [sys.executable, "-c", DIGEST, str(artefact), TEXT],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest


def test_int8_has_the_same_integers_on_every_cpu(tiny: Path, tmp_path: Path) -> None:
    """What ONNX Runtime computes here is what exact integers give: no sum has saturated."""
    path = publish_model(str(tiny), tmp_path, precision="int8", report=lambda _: None)
    graph = onnx.load(path / "model.onnx")
    weights = [
        onnx.numpy_helper.to_array(one)
        for one in graph.graph.initializer
        if one.data_type == onnx.TensorProto.INT8
    ]
    assert max(int(np.abs(one.astype(int)).max()) for one in weights) == 64, "weights of 7 bits"
    exact = ReferenceEvaluator(graph)
    tokenizer = load_tokenizer(path / "tokenizer.json", Model.load(path).max_tokens)
    for text in (TEXT, *OTHERS[:3]):
        told = tokenizer.encode(text)
        values = {"input_ids": told.ids, "attention_mask": told.attention_mask}
        values["token_type_ids"] = told.type_ids
        feed = {i.name: np.array([values[i.name]], np.int64) for i in graph.graph.input}
        [expected] = exact.run(None, feed)
        assert np.allclose(open_engine(path).encode([text]), expected, atol=1e-6)


def test_long_texts_are_cut(artefact: Path) -> None:
    engine = open_engine(artefact)
    vectors = engine.encode(["a " * 100, "a " * 1000])
    assert np.array_equal(vectors[0], vectors[1])


def test_no_texts_no_vectors(artefact: Path) -> None:
    engine = open_engine(artefact)
    assert engine.encode([]).shape == (0, engine.dim)


def test_a_graph_that_is_none_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="broken is not a graph"):
        onnx_session(broken)
    with pytest.raises(ModelError, match="broken is not a readable tokenizer"):
        load_tokenizer(broken, 10)

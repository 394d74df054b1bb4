import json
from pathlib import Path

import numpy as np
import pytest
from tiny_model import DIM, MAX_TOKENS

from app.errors import ModelError
from app.generation.engine import open_engine
from app.generation.model import Model
from index_builder.publish import EvalFiles, publish_model
from index_builder.publish.reference import open_reference
from index_builder.publish.source import Source

TEXTS = ["why so serious?", "a", "how do you turn on an iphone?", "long " * 200, "größe 你好"]


def silent(line: str) -> None:
    """No output."""


@pytest.mark.slow
def test_vectors_agree_with_the_reference(artefact: Path, tiny: Path) -> None:
    engine = open_engine(artefact)
    vectors = engine.encode(TEXTS)
    expected = open_reference(Source(tiny, "tiny", "local")).encode(TEXTS)
    assert vectors.shape == (len(TEXTS), DIM)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.einsum("ij,ij->i", vectors, expected).min() > 0.995


def test_artefact_says_what_it_is(artefact: Path) -> None:
    model = Model.load(artefact)
    model.verify(artefact)
    assert artefact.name == model.fingerprint
    assert (model.dim, model.max_tokens, model.engine) == (DIM, MAX_TOKENS, "onnx")
    assert {row.precision for row in model.comparison.rows} == {"fp32", "w8", "int8", "packed"}
    assert [row.precision for row in model.comparison.rows if row.chosen] == ["w8"]
    assert not [path for path in artefact.parent.iterdir() if path.name.startswith(".")]


def test_publishing_again_returns_the_same_artefact(artefact: Path, tiny: Path) -> None:
    before = (artefact / "model.json").stat().st_mtime_ns
    again = publish_model(str(tiny), artefact.parent, precision="w8", report=silent)
    assert again == artefact
    assert (artefact / "model.json").stat().st_mtime_ns == before


@pytest.mark.slow
def test_same_input_gives_the_same_fingerprint_elsewhere(
    artefact: Path, tiny: Path, tmp_path: Path
) -> None:
    other = publish_model(str(tiny), tmp_path, precision="w8", report=silent)
    assert other.name == artefact.name


@pytest.mark.slow
def test_a_damaged_artefact_is_made_again(tiny: Path, tmp_path: Path) -> None:
    first = publish_model(str(tiny), tmp_path, precision="fp32", report=silent)
    graph = first / "model.onnx"
    graph.write_bytes(bytes(graph.stat().st_size))
    second = publish_model(str(tiny), tmp_path, precision="fp32", report=silent)
    assert second == first
    Model.load(second).verify(second)


@pytest.mark.slow
def test_labelled_questions_are_measured(tiny: Path, tmp_path: Path) -> None:
    texts = [f"question number {n} about {chr(97 + n)}" for n in range(20)]
    for name, chosen in (("corpus", texts), ("queries", texts[:5])):
        lines = [json.dumps({"id": f"{n}", "text": text}) for n, text in enumerate(chosen)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    (tmp_path / "qrels.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"{n}\t{n}\t1\n" for n in range(5))
    )
    files = EvalFiles(tmp_path / "corpus.jsonl", tmp_path / "queries.jsonl", tmp_path / "qrels.tsv")
    model = Model.load(publish_model(str(tiny), tmp_path, eval_files=files, report=silent))
    measured = [row for row in model.comparison.rows if row.engine == "onnx"]
    assert all(row.hit_at_1 == 1 and row.recall_at_10 == 1 for row in measured)
    assert model.comparison.questions == "5 labelled questions over 20 texts"


def test_sentence_transformers_serves_what_cannot_be_exported(tiny: Path, tmp_path: Path) -> None:
    path = publish_model(str(tiny), tmp_path, engine="sentence-transformers", report=silent)
    vectors = open_engine(path).encode(TEXTS)
    expected = open_reference(Source(tiny, "tiny", "local")).encode(TEXTS)
    assert np.allclose(vectors, expected, atol=1e-6)
    with pytest.raises(ModelError, match="not in w8"):
        publish_model(
            str(tiny), tmp_path, engine="sentence-transformers", precision="w8", report=silent
        )

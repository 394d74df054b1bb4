"""Models of many kinds are served as their authors meant them."""

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from odd_models import save_model, save_static_model
from tiny_model import DIM

from app.encoder.models import self_query
from app.errors import ModelError
from app.generation.engine import Engine, open_engine
from app.generation.engines.base import Prepared, TextEngine
from app.generation.engines.onnx import OnnxEngine, load_tokenizer, onnx_session
from app.generation.model import Model, Prompt, Prompts, Side, fingerprint_of
from index_builder.publish import publish_model
from index_builder.publish.export import export
from index_builder.publish.limits import encode_checked, longest
from index_builder.publish.prompts import PromptNames, prompt_names
from index_builder.publish.reference import NO_LIMIT, Reference, open_reference
from index_builder.publish.source import Source

pytestmark = pytest.mark.slow  # its fixtures are

TEXTS = ["a b c", "z", "q w e r t y", "why ? !", "l o n g " * 5]
E5 = {"query": "q : ", "passage": "p p : "}


def silent(line: str) -> None:
    """No output."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def opened(path: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(path), device="cpu")


def agreement(engine: Engine, side: Side, expected: NDArray[np.float32]) -> float:
    """The worst cosine of an engine's vectors of TEXTS to ``expected``."""
    unit = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    return float(np.einsum("ij,ij->i", engine.encode(TEXTS, side), unit).min())


def exported(path: Path, work: Path) -> tuple[Reference, OnnxEngine]:
    """A model as a graph, without the comparison of precisions."""
    reference = open_reference(Source(path, "model", "local"))
    export(reference, work / "model.onnx")
    reference.save_tokenizer(work / "tokenizer.json")
    tokenizer = load_tokenizer(work / "tokenizer.json", reference.max_tokens)
    session = onnx_session(work / "model.onnx")
    return reference, OnnxEngine(session, tokenizer, "", DIM, reference.prompts)


@pytest.fixture(scope="module")
def e5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("e5"), prompts=E5)


@pytest.fixture(scope="module")
def published(e5: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The artefact of ``e5``, and what publishing printed."""
    lines: list[str] = []
    out = tmp_path_factory.mktemp("models")
    return publish_model(str(e5), out, precision="fp32", report=lines.append), lines


def test_each_side_has_its_prompt(e5: Path, published: tuple[Path, list[str]]) -> None:
    artefact, lines = published
    model = Model.load(artefact)
    assert model.prompts == Prompts(Prompt("q : "), Prompt("p p : "))
    assert "prompts: 'q : ' before questions, 'p p : ' before documents" in lines
    engine, authors = open_engine(artefact), opened(e5)
    assert agreement(engine, "query", authors.encode_query(TEXTS)) > 0.9999
    documents = authors.encode_document(TEXTS, prompt_name="passage")
    assert agreement(engine, "document", documents) > 0.9999
    assert agreement(engine, "query", documents) < 0.99, "the sides differ"


def test_the_fingerprint_and_the_probe_bind_both_sides(published: tuple[Path, list[str]]) -> None:
    artefact, _ = published
    model = Model.load(artefact)
    assert model.prompts is not None
    for prompts in (
        Prompts(Prompt("q: "), model.prompts.document),
        Prompts(model.prompts.query, Prompt("p: ")),
        Prompts(model.prompts.query, Prompt("p p : ", 1)),
    ):
        changed = msgspec.structs.replace(model, prompts=prompts)
        assert fingerprint_of(changed) != model.fingerprint
    engine = open_engine(artefact)
    self_query(engine, model)
    other = msgspec.structs.replace(model.probe, document=model.probe.vector)
    with pytest.raises(ModelError, match=r"self-query: cosine .* vector of a document"):
        self_query(engine, msgspec.structs.replace(model, probe=other))


def test_torch_serves_both_sides_too(e5: Path, tmp_path: Path) -> None:
    artefact = publish_model(str(e5), tmp_path, engine="sentence-transformers", report=silent)
    engine, authors = open_engine(artefact), opened(e5)
    assert agreement(engine, "query", authors.encode_query(TEXTS)) > 0.9999
    documents = authors.encode_document(TEXTS, prompt_name="passage")
    assert agreement(engine, "document", documents) > 0.9999


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "lasttoken", "mean_sqrt_len_tokens"])
@pytest.mark.parametrize("include_prompt", [True, False])
def test_vectors_are_those_of_plain_encode(
    tmp_path: Path, pooling: str, include_prompt: bool
) -> None:
    path = save_model(
        tmp_path,
        pooling=pooling,
        include_prompt=include_prompt,
        prompts={"asked": "a n s w e r "},
        default="asked",
    )
    reference, engine = exported(path, tmp_path)
    assert reference.prompts.query == Prompt("a n s w e r ", 0 if include_prompt else 7)
    assert reference.two_sided is not include_prompt
    expected = opened(path).encode(TEXTS)
    assert agreement(engine, "query", expected) > 0.9999
    assert agreement(engine, "document", expected) > 0.9999
    for side in reference.sides:
        assert agreement(engine, side, reference.encode(TEXTS, side)) > 0.9999


def test_a_pooling_that_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    path = save_model(
        tmp_path,
        pooling="weightedmean",
        include_prompt=False,
        prompts={"query": "a n s w e r "},
    )
    with pytest.raises(ModelError, match=r"differs from the model.*--engine sentence-transformers"):
        publish_model(str(path), tmp_path / "out", report=silent)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_roberta_is_cut_where_it_fails(tmp_path: Path) -> None:
    path = save_model(tmp_path, roberta=True)
    with pytest.raises((IndexError, RuntimeError)):
        opened(path).encode("a " * 40)
    reference, engine = exported(path, tmp_path)
    assert reference.max_tokens == 32
    assert reference.notes == ["the model says 34 tokens and fails above 32: texts are cut at 32"]
    below, at, above, far = encode_checked(engine, reference.texts_about_limit("query"), "query")
    assert not np.array_equal(below, at)
    assert np.array_equal(at, above)
    assert np.array_equal(at, far)
    tokenizer = load_tokenizer(tmp_path / "tokenizer.json", 34)
    wrong = OnnxEngine(onnx_session(tmp_path / "model.onnx"), tokenizer, "", DIM)
    with pytest.raises(ModelError, match=r"the artefact cannot encode a text of \d+ words"):
        encode_checked(wrong, ["a " * 40], "query")


@pytest.mark.parametrize("model2vec", [False, True])
def test_a_table_of_token_vectors_is_served(tmp_path: Path, model2vec: bool) -> None:
    path = save_static_model(tmp_path, model2vec=model2vec)
    artefact = publish_model(str(path), tmp_path / "out", report=silent)
    model, engine = Model.load(artefact), open_engine(artefact)
    assert (model.engine, model.max_tokens) == ("onnx", NO_LIMIT)
    assert [row.precision for row in model.comparison.rows if row.engine == "onnx"] == ["fp32"]
    authors = opened(path)
    assert agreement(engine, "query", authors.encode(TEXTS)) > 0.9999
    long = ["a b c " * 1500, "a b c " * 1500 + "z " * 3000]
    expected = authors.encode(long, normalize_embeddings=True)
    assert np.allclose(engine.encode(long), expected, atol=1e-5), "nothing is cut"
    assert not engine.encode([""]).any(), "no token: the vector that the model itself gives"
    with pytest.raises(ModelError, match="no matrix product to quantise"):
        publish_model(str(path), tmp_path / "out", precision="int8", report=silent)


@pytest.mark.parametrize(
    ("prompts", "default", "names"),
    [
        ({}, None, PromptNames(None, None)),
        ({"query": "", "document": ""}, None, PromptNames(None, None)),
        ({"query": "q", "document": "d"}, None, PromptNames("query", "document")),
        ({"query": "q", "document": "", "passage": "p"}, None, PromptNames("query", "passage")),
        ({"query": "q", "document": ""}, None, PromptNames("query", None)),
        ({"query": "q", "document": ""}, "query", PromptNames("query", None)),
        ({"corpus": "c"}, None, PromptNames(None, "corpus")),
        ({"x": "x", "query": ""}, "x", PromptNames("x", "x")),
        ({"x": "x", "y": "y"}, None, PromptNames(None, None, ("x", "y"))),
        ({"x": ""}, "x", PromptNames(None, None)),
    ],
)
def test_prompts_are_chosen_by_name(
    prompts: dict[str, str], default: str | None, names: PromptNames
) -> None:
    assert prompt_names(prompts, default) == names


def test_unused_prompts_are_told(tmp_path: Path) -> None:
    path = save_model(tmp_path, prompts={"search_query": "q : "})
    reference = open_reference(Source(path, "model", "local"))
    assert reference.notes == ["prompts of the model that neither side uses: search_query"]


def test_a_prompt_that_leaves_no_room_is_refused(tmp_path: Path) -> None:
    path = save_model(tmp_path, prompts={"query": "a " * 40})
    with pytest.raises(ModelError, match="leaves no room in 32 tokens"):
        open_reference(Source(path, "model", "local"))


def test_the_longest_text_is_found() -> None:
    def takes(most: int) -> Any:
        return lambda limit: None if limit <= most else IndexError(f"{limit}")

    assert longest(514, 3, takes(600)) == 514
    assert longest(514, 3, takes(512)) == 512
    assert longest(514, 3, takes(3)) == 3
    with pytest.raises(ModelError, match="cannot encode a text of 3 tokens: IndexError: 3"):
        longest(514, 3, takes(2))


@pytest.mark.parametrize("value", [0.0, math.nan, 0.5])
def test_an_artefact_that_gives_no_unit_vector_is_not_sealed(value: float) -> None:
    class Wrong(TextEngine):
        def prepare(self, text: str, side: Side) -> Prepared:
            assert (text, side) == ("a a", "document")
            return Prepared(0, text)

        def run(self, texts: Sequence[Prepared]) -> NDArray[np.float32]:
            return np.full((len(texts), 1), value, dtype=np.float32)

    with pytest.raises(ModelError, match="of 2 words as a document: its vector is not of unit"):
        encode_checked(Wrong("", 1, Prompts()), ["a a"], "document")

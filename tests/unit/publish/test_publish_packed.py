"""Texts that share a pass have the bits they have alone."""

import hashlib
import importlib
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from odd_models import save_model
from tiny_model import DIM, MAX_TOKENS

from app.encoder.models import self_query
from app.errors import ModelError
from app.generation.engine import PassEngine, open_engine
from app.generation.engines.base import TextEngine, passes
from app.generation.engines.onnx import load_tokenizer
from app.generation.engines.packed import STEP, PackedEngine, packed, packed_session
from app.generation.engines.table import ENGINES, PASS
from app.generation.model import NO_PROMPTS, Model, Side
from index_builder.publish import publish_model
from index_builder.publish.packed import make_packed, packable
from index_builder.publish.reference import open_reference
from index_builder.publish.source import Source

pytestmark = pytest.mark.slow  # its fixtures are

DIGEST = """
import hashlib, sys
from pathlib import Path
from app.generation.engine import open_engine
print(hashlib.sha256(open_engine(Path(sys.argv[1])).encode(sys.argv[2:]).tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def artefact(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed")
    return publish_model(str(tiny), out, precision="packed", report=lambda _: None)


@pytest.fixture(scope="module")
def engine(artefact: Path) -> PassEngine:
    return open_engine(artefact)


def mixed(count: int, seed: int = 1) -> list[str]:
    """Texts of one token up to well over the limit."""
    random = Random(seed)  # noqa: S311  # texts, not secrets
    return [
        " ".join(random.choices("abcdefghijklmnopqrstuvwxyz?!", k=random.randint(1, 60)))
        for _ in range(count)
    ]


def test_thousands_of_texts_have_the_bits_they_have_alone(engine: PassEngine) -> None:
    texts = mixed(3000)
    alone = np.concatenate([engine.encode([text]) for text in texts])
    assert len(np.unique(alone, axis=0)) > 2500, "vectors differ, so the comparison says something"
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(texts))
        together = engine.encode([texts[row] for row in order])
        assert np.array_equal(together, alone[order])
    assert {engine.prepare(text, "query").group for text in texts} == {16, 32, 48}


@pytest.mark.parametrize("size", range(1, PASS + 1))
def test_the_size_of_a_pass_does_not_matter(engine: PassEngine, size: int) -> None:
    texts = mixed(200, seed=size)
    alone = np.concatenate([engine.encode([text]) for text in texts])
    prepared = [engine.prepare(text, "query") for text in texts]
    for rows in passes([one.group for one in prepared], lambda _, size=size: size):
        found = engine.run([prepared[row] for row in rows])
        assert np.array_equal(found, alone[rows])


def test_threads_at_the_same_time_do_not_change_a_vector(engine: PassEngine) -> None:
    texts = mixed(40)
    expected = engine.encode(texts)
    with ThreadPoolExecutor(8) as pool:
        for vectors in pool.map(lambda _: engine.encode(texts), range(32)):
            assert np.array_equal(vectors, expected)


def test_threads_of_a_pass_do_not_change_a_vector(artefact: Path, engine: PassEngine) -> None:
    texts = mixed(200)
    assert np.array_equal(open_engine(artefact, threads=2).encode(texts), engine.encode(texts))


def test_a_new_process_gives_the_same_bits(artefact: Path, engine: PassEngine) -> None:
    texts = mixed(20)
    done = subprocess.run(
        [sys.executable, "-c", DIGEST, str(artefact), *texts],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == hashlib.sha256(engine.encode(texts).tobytes()).hexdigest()


def test_no_sum_of_products_can_saturate(artefact: Path) -> None:
    """The instruction of CPUs without VNNI adds two products of a byte and a weight in 16 bits."""
    graph = onnx.load(artefact / "model.onnx").graph
    weights = [
        onnx.numpy_helper.to_array(one).astype(int)
        for one in graph.initializer
        if one.data_type == onnx.TensorProto.INT8
    ]
    assert len(weights) == 2 * 4, "each product of each layer"
    assert max(np.abs(one).max() for one in weights) == 64
    assert 2 * 255 * 64 < 2**15


def test_the_artefact_names_its_engine(artefact: Path) -> None:
    model = Model.load(artefact)
    assert (model.engine, model.variants[0].precision) == ("onnx-packed", "packed")
    rows = {row.precision: row for row in model.comparison.rows}
    assert rows["packed"].ms_together is not None
    assert rows["int8"].ms_together is None


def test_earlier_releases_read_what_they_can_serve(tiny: Path, tmp_path: Path) -> None:
    path = publish_model(str(tiny), tmp_path, precision="fp32", report=lambda _: None)
    assert "ms_together" not in (path / "model.json").read_text()


@pytest.mark.parametrize(
    "kind",
    [
        {"roberta": True},
        {"pooling": "cls"},
        {"prompts": {"query": "q : ", "passage": "p p : "}},
        {"prompts": {"query": "q : ", "passage": "p p : "}, "include_prompt": False},
    ],
)
def test_models_of_the_plan_are_served_as_their_authors_meant(
    tmp_path: Path, kind: dict[str, Any]
) -> None:
    reference = open_reference(Source(save_model(tmp_path, **kind), "model", "local"))
    assert packable(reference)
    reference.save_tokenizer(tmp_path / "tokenizer.json")
    tokenizer = load_tokenizer(tmp_path / "tokenizer.json", reference.max_tokens)
    texts = mixed(60)
    variant = make_packed(reference, tokenizer, texts, tmp_path)
    session = packed_session(tmp_path / variant.file)
    engine = PackedEngine(session, tokenizer, "", DIM, reference.prompts)
    for side in reference.sides:
        expected = reference.encode(texts, side)
        found = engine.encode(texts, side)
        assert np.einsum("ij,ij->i", found, expected).min() > 0.95, "a wrong position is at 0.5"
        assert np.array_equal(found, np.concatenate([engine.encode([t], side) for t in texts]))


@pytest.mark.parametrize("pooling", ["max", "lasttoken"])
def test_other_poolings_are_left_to_the_exported_graph(tmp_path: Path, pooling: str) -> None:
    path = save_model(tmp_path, pooling=pooling)
    assert not packable(open_reference(Source(path, "model", "local")))


def test_an_engine_whose_neighbours_change_bits_is_not_served(
    artefact: Path, engine: PassEngine
) -> None:
    class Worse:
        fingerprint, dim = engine.fingerprint, engine.dim

        def encode(self, texts: Sequence[str], side: Side = "query") -> NDArray[np.float32]:
            vectors = engine.encode(texts, side)
            return vectors if len(texts) == 1 else np.nextafter(vectors, np.float32(2))

    model = Model.load(artefact)
    self_query(engine, model)
    with pytest.raises(ModelError, match="neighbours change the vector of a query"):
        self_query(Worse(), model)


def test_a_graph_without_its_pooling_is_refused(artefact: Path, tmp_path: Path) -> None:
    graph = onnx.load(artefact / "model.onnx")
    del graph.metadata_props[:]
    onnx.save(graph, tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="pooling is None"):
        PackedEngine(packed_session(tmp_path / "model.onnx"), None, "", 8, NO_PROMPTS)


@given(st.lists(st.integers(0, 4), max_size=80), st.integers(1, PASS))
def test_passes_hold_every_text_once_and_one_group_each(groups: list[int], largest: int) -> None:
    most = {group: max(1, largest // (group + 1)) for group in range(5)}
    found = passes(groups, most.__getitem__)
    assert sorted(row for rows in found for row in rows) == list(range(len(groups)))
    for rows in found:
        assert len(rows) <= most[groups[rows[0]]]
        assert len({groups[row] for row in rows}) == 1
    for group in set(groups):
        sizes = [len(rows) for rows in found if groups[rows[0]] == group]
        assert all(size == most[group] for size in sizes[:-1]), "as few passes as there can be"


@given(st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=MAX_TOKENS), min_size=1))
def test_places_lead_to_tokens_and_back(texts: list[list[int]]) -> None:
    length = -(-max(map(len, texts)) // STEP) * STEP
    feed = packed(texts, length)
    ids = feed["ids"][feed["slots"]].reshape(len(texts), length)
    for row, text in enumerate(texts):
        assert ids[row, : len(text)].tolist() == text
        assert set(ids[row, len(text) :].tolist()) <= {text[0]}, "its own, never a neighbour's"
        assert (feed["mask"][row, 0, 0] == 0).sum() == len(text)
    assert np.array_equal(ids.ravel()[feed["rows"]], feed["ids"])
    assert feed["positions"].tolist() == [n for text in texts for n in range(len(text))]


def test_each_engine_of_the_table_opens_and_says_its_largest_pass() -> None:
    for row in ENGINES.values():
        module, _, name = row.opens.partition(":")
        assert callable(getattr(importlib.import_module(module), name))
        engines = [
            value
            for value in vars(importlib.import_module(module)).values()
            if isinstance(value, type) and issubclass(value, TextEngine) and value is not TextEngine
            if value.__module__ == module
        ]
        assert [engine.largest for engine in engines] == [row.largest]


@pytest.mark.parametrize(("group", "most"), [(16, 16), (32, 16), (48, 10), (256, 2), (1024, 1)])
def test_a_pass_of_long_texts_has_fewer(group: int, most: int) -> None:
    """What a pass needs of memory is bounded, whatever is asked."""
    assert PackedEngine(Untouched(), None, "", 8, NO_PROMPTS).most(group) == most


class Untouched:
    """A session that is opened and not run."""

    def get_modelmeta(self) -> Any:
        return SimpleNamespace(custom_metadata_map={"pooling": "mean"})

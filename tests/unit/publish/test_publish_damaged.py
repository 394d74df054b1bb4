"""Damaged and strange models end in one line and exit status 1."""

import json
import logging
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from odd_models import save_model, save_static_model

from app.errors import ModelError
from index_builder.cli import main
from index_builder.publish.one_line import one_line
from index_builder.publish.reference import open_reference
from index_builder.publish.source import Source

WRONG = ["", "{", "[]", "null", "3", '"x"', "[[[]]]", "\0\1", '{"a": ' * 400]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        "transformer": save_model(tmp_path_factory.mktemp("transformer")),
        "static": save_static_model(tmp_path_factory.mktemp("static")),
    }


def refused(model: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Publish; returns the one line that says why not."""
    assert main(["publish-model", "--model", str(model), "--out", str(out)]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    return errors[0]


def test_a_model_without_pooling_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_model(tmp_path, pooling=None)
    line = refused(model, tmp_path / "out", capsys)
    assert f"{model} cannot be published: none of its modules makes one vector" in line
    assert "modules.json must name a pooling" in line


def test_out_that_is_a_file_says_so(
    tmp_path: Path, whole: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("")
    assert "out: FileExistsError" in refused(whole["static"], tmp_path / "out", capsys)


def test_a_missing_module_is_named(
    tmp_path: Path, whole: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model = Path(shutil.copytree(whole["transformer"], tmp_path / "model"))
    modules = json.loads((model / "modules.json").read_text())
    modules[0]["type"] = "nowhere.Transformer"
    (model / "modules.json").write_text(json.dumps(modules))
    line = refused(model, tmp_path / "out", capsys)
    assert "is not a model that loads" in line
    assert "nowhere" in line


def damaged(model: Path, work: Path) -> Iterator[Path]:
    """Copies of a model, each with one file missing, cut, overwritten or of wrong content."""
    noise = random.Random(7)  # noqa: S311  # the same faults in every run
    for name in sorted(path.relative_to(model) for path in model.rglob("*") if path.is_file()):
        for fault in ("missing", "cut", noise.choice(("noise", *WRONG))):
            copy = Path(shutil.copytree(model, work / "copy"))
            path, data = copy / name, (model / name).read_bytes()
            if fault == "missing":
                path.unlink()
            elif fault == "cut":
                path.write_bytes(data[: len(data) // 2])
            elif fault == "noise":
                path.write_bytes(noise.randbytes(200))
            else:
                path.write_text(fault)
            yield copy
            shutil.rmtree(copy)


@pytest.mark.parametrize("kind", ["transformer", "static"])
def test_a_damaged_model_loads_or_is_refused_in_one_line(
    tmp_path: Path, whole: dict[str, Path], kind: str
) -> None:
    outcomes = [_outcome(copy) for copy in damaged(whole[kind], tmp_path)]
    assert len(outcomes) > 10
    assert any(outcomes)
    assert not [line for line in outcomes if "\n" in line]


def _outcome(model: Path) -> str:
    """Why a model is refused; empty where it loads, as without its README."""
    try:
        open_reference(Source(model, "model", "local"))
    except ModelError as error:
        return str(error)
    return ""


class PanicException(BaseException):
    """As the Rust code of tokenizers raises: no Exception."""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("first\nsecond"), "x: ValueError: first: fix"),
        (KeyError(), "x: KeyError: fix"),
        (PanicException("index out of bounds"), "x: PanicException: index out of bounds: fix"),
    ],
)
def test_any_exception_becomes_one_line(error: BaseException, line: str) -> None:
    with pytest.raises(ModelError) as caught, one_line("x", ": fix"):
        raise error
    assert str(caught.value) == line


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), ModelError("as it is")])
def test_what_is_meant_for_others_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, one_line("x"):
        raise error
    assert caught.value is error

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from app.errors import ModelError
from app.generation.model import Model, Prompt, Prompts, Variant, cpu_flags, fingerprint_of

pytestmark = pytest.mark.slow  # its fixtures are


@pytest.fixture
def copy(artefact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(artefact, tmp_path / artefact.name))


def edit(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = directory / "model.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_changed_file_is_named(copy: Path) -> None:
    path = copy / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    model = Model.load(copy)
    with pytest.raises(ModelError, match=r"model\.onnx does not match its sha256.*publish"):
        model.verify(copy)


def test_a_shorter_file_is_named(copy: Path) -> None:
    (copy / "tokenizer.json").write_bytes(b"{}")
    with pytest.raises(ModelError, match=r"tokenizer\.json has 2 bytes, model\.json says"):
        Model.load(copy)


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"model\.onnx is missing.*publish the model again"):
        Model.load(copy)


def test_a_directory_named_as_another_model_is_refused(copy: Path) -> None:
    other = copy.rename(copy.with_name("0123456789abcdef"))
    with pytest.raises(ModelError, match="the directory is named 0123456789abcdef, but holds"):
        Model.load(other)


def test_an_unfinished_artefact_is_refused(copy: Path) -> None:
    (copy / "model.json").unlink()
    with pytest.raises(ModelError, match="not a sealed model artefact"):
        Model.load(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(schema=2), "schema 2, this release reads 1"),
        (lambda c: c.update(fingerprint="0" * 16), "fingerprint 0000000000000000, its content"),
        (lambda c: c.update(max_tokens=49), "fingerprint .*, its content gives"),
        (lambda c: c.update(extra=1), "unknown field `extra`"),
        (lambda c: c.pop("dim"), "missing required field `dim`"),
        (lambda c: c.update(dim="128"), "Expected `int`, got `str`"),
        (lambda c: c.update(engine="magic"), "engine magic, this release has onnx, onnx-packed"),
        (lambda c: c.update(variants=[]), "no variant"),
        (lambda c: c["files"].update({"../x": {"size": 1, "sha256": ""}}), "leaves the directory"),
        (lambda c: c["variants"][0].update(file="other.onnx"), "other.onnx is not listed"),
        (lambda c: c["probe"].update(vector=[1.0]), "probe has another dimension"),
    ],
)
def test_a_wrong_record_is_refused(
    copy: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    edit(copy, change)
    with pytest.raises(ModelError, match=message):
        Model.load(copy)


def test_an_artefact_without_prompts_has_its_prefix_on_both_sides(copy: Path) -> None:
    content = json.loads((copy / "model.json").read_text())
    assert "prompts" not in content, "earlier releases read it"
    assert "document" not in content["probe"]
    model = replace(Model.load(copy), prefix="p: ")
    assert (model.sides, model.two_sided) == (Prompts(Prompt("p: "), Prompt("p: ")), False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(prefix="p"), "both a prefix and prompts"),
        (lambda c: c["probe"].pop("document"), "probe has another dimension"),
        (lambda c: c["prompts"]["query"].update(unpooled=-1), "a prompt is too long"),
        (lambda c: c["prompts"]["document"].update(unpooled=48), "a prompt is too long"),
        (lambda c: c["prompts"]["document"].update(text="b"), "its content gives"),
        (lambda c: c["prompts"].update(other={}), "unknown field `other`"),
        (lambda c: c.update(prompts={}), "its content gives"),
    ],
)
def test_wrong_prompts_are_refused(
    copy: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    model = Model.load(copy)
    probe = replace(model.probe, document=model.probe.vector)
    model = replace(model, prompts=Prompts(Prompt("q"), Prompt("d", 1)), probe=probe)
    sealed = replace(model, fingerprint=fingerprint_of(model))
    copy = copy.rename(copy.with_name(sealed.fingerprint))
    (copy / "model.json").write_bytes(msgspec.json.encode(sealed))
    assert Model.load(copy) == sealed
    edit(copy, change)
    with pytest.raises(ModelError, match=message):
        Model.load(copy)


def test_broken_json_is_refused(copy: Path) -> None:
    (copy / "model.json").write_text("{")
    with pytest.raises(ModelError, match=r"model\.json is not valid"):
        Model.load(copy)


def test_a_variant_needs_one_of_its_flags(artefact: Path) -> None:
    int8 = Variant("model.onnx", "int8", ("avx512_vnni", "avx_vnni"))
    w8 = Variant("model.onnx", "w8")
    model = replace(Model.load(artefact), variants=(int8, w8))
    assert model.variant_for({"avx2"}) == w8
    assert model.variant_for({"avx2", "avx_vnni"}) == int8
    with pytest.raises(ModelError, match=r"not run on this CPU .*int8: one of avx512_vnni"):
        replace(model, variants=(int8,)).variant_for({"avx2"})


def test_cpu_flags_are_read(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("model name\t: x\nflags\t\t: fpu avx2\n\nflags\t\t: fpu\n")
    assert cpu_flags(info) == {"fpu", "avx2"}
    info.write_text("Features\t: asimd asimddp\n")
    assert cpu_flags(info) == {"asimd", "asimddp"}
    assert cpu_flags(tmp_path / "none") == frozenset()

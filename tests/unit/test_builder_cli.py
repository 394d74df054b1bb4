"""The command line of the builder: whatever it is given, one line and a status."""

from pathlib import Path

import pytest
from encoder_fakes import make_artefact
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from index_builder.cli import main
from index_builder.described import described

KINDS = st.sampled_from(
    ["IVF16,Flat", "PQ8", "PCA32,Flat", "IDMap,Flat", "HNSW", "auto", "", "\x00", "x" * 2000]
) | st.text(max_size=12)


def said(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """The error of a command that must fail with status 1, without a bug."""
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "unexpected" not in error
    assert "Traceback" not in error
    return error


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    index=KINDS,
    out=st.sampled_from(["file", "file/below", "no/where", "."]),
    corpus=st.sampled_from(["gone.txt", ".", "file", "c.csv", "x" * 300 + ".txt", "a\x00.txt"]),
    model=st.sampled_from(["gone", "file", "damaged", "."]),
    shards=st.sampled_from(["0", "-1", "4", "1001"]),
    more=st.sampled_from(
        [[], ["--base", "gone"], ["--quoting", "none"], ["--text-field", "Frage"],
         ["--course-centers", "file"], ["--max-bad", "nan"], ["--storage", "nan"],
         ["--processes", "-1"], ["--sample", "0"]]
    ),
)  # fmt: skip
@example("auto", "file", "c.csv", "damaged", "4", [])
def test_no_command_line_ends_in_a_traceback(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    index: str,
    out: str,
    corpus: str,
    model: str,
    shards: str,
    more: list[str],
) -> None:
    (tmp_path / "file").write_text("no directory")
    (tmp_path / "c.csv").write_text("name,other\n1,2\n")
    (tmp_path / "damaged").mkdir(exist_ok=True)
    (tmp_path / "damaged/model.json").write_text("{}")
    paths = [arg for name, value in (("corpus", corpus), ("model", model), ("out", out))
             for arg in (f"--{name}", str(tmp_path / value))]  # fmt: skip
    options = [str(tmp_path / part) if part in ("gone", "file") else part for part in more]
    said(capsys, ["build", f"--index={index}", f"--shards={shards}", *paths, *options])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--corpus", "c.txt", "--course-embeddings", "e"], "go with --course-clusters"),
        (["--course-clusters", "c.json", "--text-field", "x"], "no fields and no quoting"),
        (["--course-clusters", "c.json", "--course-centers", "x"], "with --course-embeddings"),
        (["--course-clusters", "c.json", "--base", "x"], "--base has clusters of its own"),
        ([], "give either --corpus or --course-clusters"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    model = make_artefact(tmp_path / "models", b"one")
    common = ["build", "--shards", "2", "--model", str(model), "--out", str(tmp_path / "out")]
    assert message in said(capsys, [*common, *arguments])


def test_an_unexpected_error_is_named_with_its_place() -> None:
    with pytest.raises(KeyError) as raised:
        dict[str, str]()["pooling"]
    assert described(raised.value).startswith("unexpected KeyError in test_builder_cli.py:")

"""``python -m index_builder preview``: its report, its verdict, its status, and its errors."""

import json
from pathlib import Path

import msgspec
import pytest
from preview_pairs import pair

from index_builder.cli import main

PAIRS = [pair("ab", "ab", "same"), pair("ab", "ba", "swapped")]


@pytest.fixture
def answers(tmp_path: Path) -> str:
    file = tmp_path / "pairs.jsonl"
    file.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in PAIRS))
    return str(file)


@pytest.fixture
def labels(tmp_path: Path) -> list[str]:
    asked, qrels = tmp_path / "asked.jsonl", tmp_path / "qrels.tsv"
    asked.write_text('{"id": "s", "text": "same"}\n{"id": "w", "text": "swapped"}\n')
    qrels.write_text("s\ta\t1\nw\ta\t1\n")
    return [f"--qrels={qrels}", f"--questions={asked}"]


def test_it_writes_the_report_and_tells(
    answers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["preview", answers, f"--out={out}", "--names", "A", "B", "--field=set"]) == 0
    assert capsys.readouterr().out.startswith("Preview of B against A: 2 questions, 50.0 %")
    assert sorted(file.name for file in out.iterdir()) == ["preview.html", "preview.json"]
    figures = json.loads((out / "preview.json").read_bytes())
    assert [(one["field"], one["value"]) for one in figures["groups"]] == [("set", "x")]


def test_into_a_directory_that_all_may_read_it_writes_for_one(answers: str, tmp_path: Path) -> None:
    left = tmp_path / ".preview.html.partial"
    left.touch(mode=0o644)
    tmp_path.chmod(0o755)
    assert main(["preview", answers, f"--out={tmp_path}"]) == 0
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("preview.html", "preview.json")]
    assert modes == [0o600, 0o600]
    assert not left.exists()


@pytest.mark.parametrize("gate", ["--max-changed=0.4", "--min-overlap=1", "--max-hit-loss=0.4"])
def test_a_gate_decides_the_status(
    answers: str, labels: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], gate: str
) -> None:
    pairs = Path(answers)
    pairs.write_bytes(pairs.read_bytes() + msgspec.json.encode(pair("ab", "cd", "gone")))
    command = ["preview", answers, f"--out={tmp_path}", *labels, gate]
    assert main(command) == 1
    assert (
        f"askfleet_preview_{gate[2:].partition('=')[0].replace('-', '_')}"
        in (capsys.readouterr().out.splitlines()[-1])
    )
    assert main([*command, "--json"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert (told["good"], len(told["faults"])) == (False, 1)
    assert told["report"] == str(tmp_path / "preview.html")


@pytest.mark.parametrize(
    ("mistyped", "told"),
    [
        (["--max-changed=2"], "no number from 0 to 1"),
        (["--max-hit-loss=0.1"], "--max-hit-loss needs labels"),
        (["--qrels=x.tsv"], "need each other"),
    ],
)
def test_a_mistyped_command_is_two(
    answers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], mistyped: list[str], told: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["preview", answers, f"--out={tmp_path / 'out'}", *mistyped])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\n", "pairs.jsonl holds no question"),
        (b'\n{"question": "q"}\n', "pairs.jsonl:2: not what `askfleet preview` prints"),
        (b'{"question": "\xff"}\n', "pairs.jsonl:1: not what"),
        (None, "pairs.jsonl: cannot be read: No such file"),
    ],
)
def test_what_is_no_preview_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, told: str
) -> None:
    file = tmp_path / "pairs.jsonl"
    if content is not None:
        file.write_bytes(content)
    assert main(["preview", str(file), f"--out={tmp_path / 'out'}"]) == 1
    assert told in capsys.readouterr().err

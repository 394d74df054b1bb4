"""Questions without an answer, grouped by likeness."""

import json
from pathlib import Path

import numpy as np
import pytest

from index_builder import unanswered_command
from index_builder.cli import main
from index_builder.unanswered_command import Part, grouped


class Engine:
    """Vectors on a circle: a text's first word is its angle in degrees."""

    def encode(self, texts: list[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        angles = np.radians([float(text.split()[0]) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def all_of(*texts: str) -> list[Part]:
    """A sample that has kept everything."""
    return [Part(len(texts), list(texts))]


def test_like_ones_are_together_and_the_commonest_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unanswered_command, "open_engine", lambda _: Engine())
    parts = all_of("0 a", "30 b", "30 b", "60 c", "180 d", "0 a", "30 b", "180 e")
    first, second = grouped(parts, Path("model"))
    # 30 leads; 0 and 60 are within 36 degrees of it, though not of each other.
    assert (first.text, first.asked, first.texts) == ("30 b", 6, ["30 b", "0 a", "60 c"])
    assert (second.asked, second.texts) == (2, ["180 d", "180 e"])
    assert (first.share, second.share) == (0.75, 0.25)


def test_without_a_model_equal_texts_are_together() -> None:
    (first, second) = grouped(all_of("a b", "A B", "c", "a b"), None)
    assert (first.text, first.asked, first.texts) == ("a b", 3, ["a b", "A B"])
    assert second.texts == ["c"]
    assert grouped([], None) == []
    assert grouped([Part(0, [])], None) == []


def test_a_text_counts_by_what_its_sample_is_of() -> None:
    """A process that has just started keeps all of its few questions, a busy one 2 of 1,000."""
    parts = [Part(1000, ["busy", "both"]), Part(3, ["new", "new", "both"])]
    assert [(one.text, one.asked) for one in grouped(parts, None)] == [
        ("both", 501),
        ("busy", 500),
        ("new", 2),
    ]


def test_the_command_shows_shares_of_all_and_writes_every_group(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples, groups = tmp_path / "samples.json", tmp_path / "groups.json"
    groups.write_text("of before, for everybody")
    groups.chmod(0o644)
    texts = ["cancel an order"] * 3 + ["pay later"]
    part = {"seen": 400, "texts": texts, "nearest": ["undo an order"] * 3 + [""]}
    samples.write_text(json.dumps([part]))
    assert main(["unanswered", str(samples), "--out", str(groups)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "400 questions without an answer, 2 kinds among 4 kept",
        " 75.0%      300  cancel an order",
        "                 nearest known: undo an order",
        " 25.0%      100  pay later",
    ]
    assert groups.stat().st_mode & 0o777 == 0o600
    assert main(["unanswered", str(samples), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(groups.read_bytes())
    assert [one["asked"] for one in told] == [300, 100]


@pytest.mark.parametrize("content", [None, "how to pay\n", '[{"seen": "many", "texts": []}]'])
def test_what_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    samples = tmp_path / "samples"
    if content is not None:
        samples.write_text(content)
    assert main(["unanswered", str(samples)]) == 1
    assert f"{samples}: cannot be read" in capsys.readouterr().err


def test_nothing_and_nowhere_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").write_text("[]")
    assert main(["unanswered", str(tmp_path / "empty")]) == 0
    assert "0 questions without an answer" in capsys.readouterr().out
    assert main(["unanswered", str(tmp_path / "empty"), "--out", str(tmp_path / "no/x")]) == 1
    assert "cannot be written" in capsys.readouterr().err

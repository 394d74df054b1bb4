"""Questions without an answer, grouped by likeness."""

import json
from pathlib import Path

import numpy as np
import pytest

from index_builder import unanswered_command
from index_builder.cli import main
from index_builder.unanswered_command import grouped


class Engine:
    """Vectors on a circle: a text's first word is its angle in degrees."""

    def encode(self, texts: list[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        angles = np.radians([float(text.split()[0]) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_like_ones_are_together_and_the_commonest_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unanswered_command, "open_engine", lambda _: Engine())
    texts = ["0 a", "30 b", "30 b", "60 c", "180 d", "0 a", "30 b", "180 e"]
    first, second = grouped(texts, Path("model"))
    # 30 leads; 0 and 60 are within 36 degrees of it, though not of each other.
    assert (first.text, first.asked, first.texts) == ("30 b", 6, ["30 b", "0 a", "60 c"])
    assert (second.asked, second.texts) == (2, ["180 d", "180 e"])


def test_without_a_model_equal_texts_are_together() -> None:
    (first, second) = grouped(["a b", "A B", "c", "a b"], None)
    assert (first.text, first.asked, first.texts) == ("a b", 3, ["a b", "A B"])
    assert second.texts == ["c"]
    assert grouped([], None) == []


def test_the_command_shows_shares_of_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "unanswered.txt"
    file.write_text("cancel an order\n" * 3 + "pay later\n")
    assert main(["unanswered", str(file), "--seen", "400"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "400 questions without an answer, 2 kinds among 4 kept"
    assert lines[1].split() == ["75.0", "%", "300", "cancel", "an", "order"]
    assert main(["unanswered", str(file), "--json"]) == 0
    assert [one["asked"] for one in json.loads(capsys.readouterr().out)] == [3, 1]


def test_nothing_and_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").write_text("\n")
    assert main(["unanswered", str(tmp_path / "empty")]) == 0
    assert "0 questions without an answer" in capsys.readouterr().out
    assert main(["unanswered", str(tmp_path / "none")]) == 1
    assert "cannot be read" in capsys.readouterr().err

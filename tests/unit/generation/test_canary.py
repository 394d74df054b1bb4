"""Canaries: what differs is told, what only rounds differently is not."""

from pathlib import Path

import pytest

from app.errors import GenerationError
from app.generation import canary
from app.generation.canary import TOLERANCE, Canary, difference

ONE = Canary("q", ("a", "b", "c"), (0.9, 0.7, 0.5))


def test_the_expected_answer_does_not_differ() -> None:
    assert difference(ONE, ["a", "b", "c"], [0.9, 0.7, 0.5]) is None
    half = TOLERANCE / 2
    assert difference(ONE, ["a", "b", "c"], [0.9 + half, 0.7 - half, 0.5 + half]) is None


@pytest.mark.parametrize(
    ("ids", "scores", "message"),
    [
        ([], [], "0 answers instead of 3"),
        (["a", "b"], [0.9, 0.7], "2 answers instead of 3"),
        (["a", "b", "c", "d"], [0.9, 0.7, 0.5, 0.4], "4 answers instead of 3"),
        (["a", "b", "c"], [0.9, 0.69, 0.5], "score 0.6900 instead of 0.7000 at place 2"),
        (["a", "b", "c"], [0.9, 0.7, float("nan")], "score nan instead of 0.5000 at place 3"),
        (["x", "b", "c"], [0.9, 0.7, 0.5], "'a' is missing"),
        (["a", "x", "c"], [0.9, 0.7, 0.5], "'b' is missing"),
        (["b", "a", "c"], [0.9, 0.7, 0.5], "'a' has score 0.7000 instead of 0.9000"),
        (["a", "c", "b"], [0.9, 0.7, 0.5], "'b' has score 0.5000 instead of 0.7000"),
    ],
)
def test_a_difference_is_told(ids: list[str], scores: list[float], message: str) -> None:
    assert difference(ONE, ids, scores) == message


def test_equal_scores_may_stand_in_any_order() -> None:
    tied = Canary("q", ("a", "b", "c"), (0.9, 0.9, 0.5))
    assert difference(tied, ["b", "a", "c"], [0.9, 0.9, 0.5]) is None
    near = Canary("q", ("a", "b", "c"), (0.9, 0.8995, 0.5))
    assert difference(near, ["b", "a", "c"], [0.8998, 0.8997, 0.5]) is None


def test_at_the_end_one_of_equal_score_may_replace_another() -> None:
    assert difference(ONE, ["a", "b", "x"], [0.9, 0.7, 0.5]) is None
    tied = Canary("q", ("a", "b", "c"), (0.9, 0.5, 0.5))
    assert difference(tied, ["a", "x", "b"], [0.9, 0.5, 0.5]) is None


def test_a_canary_without_answers_wants_none() -> None:
    assert difference(Canary("q", (), ()), [], []) is None
    assert difference(Canary("q", (), ()), ["a"], [0.1]) == "1 answers instead of 0"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    canaries = [ONE, Canary("é\n\u2028\x00", ("a",), (1.0,))]
    canary.write(tmp_path / "c", canaries)
    assert canary.read(tmp_path / "c") == canaries


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no canary"),
        (b"{}\n", "c:1: not a canary: .*missing required field `question`"),
        (b'{"question":"q","ids":[],"scores":[]}\n{\n', "c:2: not a canary"),
        (b'{"question":"q","ids":[],"scores":[],"x":1}\n', "unknown field `x`"),
        (b'{"question":"\xff","ids":[],"scores":[]}\n', "c:1: not a canary"),
    ],
)
def test_a_broken_file_is_named_by_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(GenerationError, match=message):
        canary.read(tmp_path / "c")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="c: No such file"):
        canary.read(tmp_path / "c")


FIVE = Canary("q", ("a", "b", "c", "d", "e"), (0.9, 0.8, 0.7, 0.6, 0.5))


@pytest.mark.parametrize(
    ("ids", "scores"),
    [
        ("acdef", (0.9, 0.7, 0.6, 0.5, 0.4)),  # b is gone, f has come after the others
        ("afcde", (0.9, 0.85, 0.7, 0.6, 0.5)),  # f is before some, by its words
        ("afgcd", (0.9, 0.85, 0.82, 0.7, 0.6)),  # e is beaten by all
        ("abcde", (0.9, 0.8, 0.7, 0.6, 0.5)),  # asked before b was gone
        ("acde", (0.9, 0.7, 0.6, 0.5)),  # no other document is there
    ],
)
def test_a_withdrawn_document_fails_no_canary(ids: str, scores: tuple[float, ...]) -> None:
    assert difference(FIVE, tuple(ids), scores, withdrawn=frozenset("bx")) is None


@pytest.mark.parametrize(
    ("ids", "scores", "told"),
    [
        ("cdefg", (0.7, 0.6, 0.5, 0.4, 0.3), "'a' is missing"),
        ("acdef", (0.9, 0.7, 0.65, 0.5, 0.4), "'d' has score"),
        ("acdef", (0.9, float("nan"), 0.6, 0.5, 0.4), "'c' has score"),
        ("acd", (0.9, 0.7, 0.6), "'e' is missing"),
        ("fghij", (0.4, 0.3, 0.2, 0.1, 0.0), "'a' is missing"),
        ("", (), "'a' is missing"),
        ("acdefg", (0.9, 0.7, 0.6, 0.5, 0.4, 0.3), "6 answers"),
    ],
)
def test_other_faults_are_seen_beside_it(ids: str, scores: tuple[float, ...], told: str) -> None:
    assert told in str(difference(FIVE, tuple(ids), scores, withdrawn=frozenset("b")))


def test_where_all_answers_are_withdrawn_any_others_will_do() -> None:
    assert difference(FIVE, ("x",), (0.1,), withdrawn=frozenset("abcde")) is None

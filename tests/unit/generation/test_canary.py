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


KEYS = (0.9, 0.8, 0.7, 0.6, 0.5)
FIVE = Canary("q", tuple("abcde"), KEYS)
# Ordered by words, too; its keys are the same.
WORDS = Canary("q", tuple("abcde"), tuple(key - 0.4 for key in KEYS), (0.4,) * 5)


def differs(canary: Canary, ids: str, got: tuple[float, ...], out: str) -> str | None:
    return difference(canary, tuple(ids), got, 1.0, frozenset(out))


@pytest.mark.parametrize("canary", [FIVE, WORDS])
@pytest.mark.parametrize(
    ("ids", "got"),
    [
        ("acdef", (0.9, 0.7, 0.6, 0.5, 0.4)),  # b is gone, f has come after the others
        ("acdef", (0.9, 0.7, 0.6, 0.5, 0.5)),  # as near as the last
        ("abcde", (0.9, 0.8, 0.7, 0.6, 0.5)),  # asked before b was gone
        ("acde", (0.9, 0.7, 0.6, 0.5)),  # no other document is there
    ],
)
def test_a_withdrawn_document_fails_no_canary(
    canary: Canary, ids: str, got: tuple[float, ...]
) -> None:
    assert differs(canary, ids, got, "b") is None


@pytest.mark.parametrize(
    ("ids", "got", "out"),
    [
        ("afcde", (0.9, 0.85, 0.7, 0.6, 0.5), "b"),  # f is before some, by its words
        ("afgcd", (0.9, 0.85, 0.82, 0.7, 0.6), "bx"),  # e is beaten by all
        ("abfcd", (0.9, 0.8, 0.75, 0.7, 0.6), "x"),  # x was a candidate, and in no answer
    ],
)
def test_words_may_bring_one_stranger_for_each(ids: str, got: tuple[float, ...], out: str) -> None:
    assert differs(WORDS, ids, got, out) is None
    assert "better answers" in str(differs(WORDS, ids, got, out[1:])) or not out[1:]
    told = differs(FIVE, ids, got, out)
    assert told, "by score nobody comes before those that stay"


@pytest.mark.parametrize("out", ["b", "x"])
def test_no_more_strangers_come_than_documents_went(out: str) -> None:
    """They were accepted in any number as soon as any document was withdrawn."""
    got = (0.95, 0.94, 0.93, 0.92, 0.91)
    told = str(differs(WORDS, "fghij", got, out))
    assert told == "5 better answers that must not be there ('f', 'g', 'h'), 1 may"
    assert "2 better answers" in str(differs(WORDS, "afgcd", (0.9, 0.85, 0.82, 0.7, 0.6), out))
    assert "better answers" in str(differs(WORDS, "afgcd", (0.9, *[float("nan")] * 4), out))


@pytest.mark.parametrize(
    ("ids", "got", "told"),
    [
        ("abcdf", (0.9, 0.8, 0.7, 0.6, 0.4), "score 0.4000 instead of 0.5000 at place 5"),
        ("abcd", (0.9, 0.8, 0.7, 0.6), "4 answers instead of 5"),
        ("abfde", (0.9, 0.8, 0.7, 0.6, 0.5), "'c' is missing"),
    ],
)
def test_by_score_an_answer_that_has_none_of_them_is_judged_as_ever(
    ids: str, got: tuple[float, ...], told: str
) -> None:
    assert differs(FIVE, ids, got, "x") == told


@pytest.mark.parametrize("canary", [FIVE, WORDS])
@pytest.mark.parametrize(
    ("ids", "got", "told"),
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
def test_other_faults_are_seen_beside_it(
    canary: Canary, ids: str, got: tuple[float, ...], told: str
) -> None:
    assert told in str(differs(canary, ids, got, "b"))


@pytest.mark.parametrize("canary", [FIVE, WORDS])
def test_where_all_answers_are_withdrawn_any_that_came_after_them_will_do(canary: Canary) -> None:
    assert differs(canary, "x", (0.1,), "abcde") is None

"""Overlap and rank-biased overlap of two rankings."""

import itertools
import random

import pytest

from index_builder.preview.compare import overlap, rank_biased_overlap


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [("abcd", "abcd", 1), ("abcd", "dcba", 1), ("ab", "cd", 0), ("abcd", "ab", 0.5), ("", "", 1)],
)
def test_overlap(before: str, after: str, wanted: float) -> None:
    assert overlap(before, after) == wanted


def defined(before: str, after: str, p: float) -> float:
    """The paper's equation 32, term by term."""
    short, long = sorted((before, after), key=len)
    s, n = len(short), len(long)

    def shared(depth: int) -> int:
        return len(set(short[:depth]) & set(long[:depth]))

    first = sum(shared(d) / d * p**d for d in range(1, n + 1))
    second = sum(shared(s) * (d - s) / (s * d) * p**d for d in range(s + 1, n + 1))
    rest = (shared(n) - shared(s)) / n + shared(s) / s
    return (1 - p) / p * (first + second) + rest * p**n


def test_it_is_the_papers_for_all_lengths() -> None:
    letters, draw = "abcdefghijklmnop", random.Random(1)  # noqa: S311  # no secret
    for short, long in itertools.product(range(1, 11), range(1, 11)):
        before, after = ("".join(draw.sample(letters, n)) for n in (short, long))
        assert rank_biased_overlap(before, after) == pytest.approx(defined(before, after, 0.9))


def test_its_bounds() -> None:
    assert rank_biased_overlap("abc", "abc") == pytest.approx(1)
    assert rank_biased_overlap("abc", "def") == 0
    assert rank_biased_overlap("", "") == 1
    assert rank_biased_overlap("", "a") == 0


def test_the_first_places_weigh_most() -> None:
    assert rank_biased_overlap("abcdef", "abcdfe") > rank_biased_overlap("abcdef", "bacdef")

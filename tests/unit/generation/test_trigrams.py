"""Trigrams against a slow reading of their definition, and what they weigh."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.generation.text import clean
from app.generation.trigrams import MAX_FOLDED, folded, trigrams, weights

texts = st.lists(st.text(max_size=40).map(clean), min_size=1, max_size=6)
FORMAT = [
    2760,
    9491,
    12708,
    26889,
    28566,
    34675,
    39026,
    42752,
    43507,
    45689,
    52568,
    53793,
    56180,
    58277,
]
OTHER_SCRIPTS = [9194, 10267, 12063, 14987, 19562, 51746, 54889, 55705, 62808]


def slowly(text: str) -> set[str]:
    """Every three characters of every word with a space on both sides."""
    words = [f" {word} " for word in text.split()]
    return {word[at : at + 3] for word in words for at in range(len(word) - 2)}


@settings(max_examples=300, deadline=None)
@given(texts)
def test_each_text_has_its_own_trigrams_whatever_is_beside_it(several: list[str]) -> None:
    several = list(map(folded, several))
    buckets, counts = trigrams(several)
    ends = np.cumsum(counts)
    assert ends[-1] == len(buckets)
    for text, own in zip(several, np.split(buckets, ends[:-1]), strict=True):
        alone, [count] = trigrams([text])
        assert own.tolist() == alone.tolist()
        assert count == len(own)
        assert own.tolist() == sorted(set(own.tolist()))
        # Two trigrams may share a bucket, so there may be fewer.
        assert bool(slowly(text)) == bool(len(own))
        assert len(own) <= len(slowly(text)) <= len(own) + 1


def test_what_is_written_differently_is_the_same() -> None:
    same = ("Straße  ﬁne", "STRASSE fine", "straße ﬁne")
    assert len({trigrams([folded(text)])[0].tobytes() for text in same}) == 1
    assert folded("\uff21\uff22 \u2460") == folded("ab 1")
    ascii_only, other = folded("Reset my PASSWORD"), folded("Reset my PASSWORD é")
    assert other.startswith(ascii_only[:-1])


def test_what_grows_by_folding_has_a_bound() -> None:
    """A ligature of one character may be 18 when it is folded."""
    assert len(folded("\ufdfa" * 2000)) <= MAX_FOLDED + 2


def test_words_are_bounded() -> None:
    assert set(trigrams([folded("ab cd")])[0]) == set(trigrams([folded("cd ab")])[0])
    assert set(trigrams([folded("ab cd")])[0]) != set(trigrams([folded("abcd")])[0])
    assert len(trigrams([folded("a")])[0]) == 1


def test_the_hash_is_a_format() -> None:
    """Sealed generations hold these numbers: another hash is another schema."""
    buckets, _ = trigrams([folded("how do I reset it?")])
    assert buckets.tolist() == FORMAT
    assert trigrams([folded("你好吗 नमस्ते")])[0].tolist() == OTHER_SCRIPTS


def test_rare_ones_weigh_more() -> None:
    found = weights(np.array([0, 1, 10, 1000, 1_000_000]), 1_000_000)
    assert found.tolist() == sorted(found.tolist(), reverse=True)
    assert found[-1] == 1, "what every document has still counts, so that no total is 0"
    assert weights(np.array([0, 1]), 10**8).tolist() == [229, 216], "a byte holds 100 million"

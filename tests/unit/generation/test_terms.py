"""A question's words on their way to shards, and the names among them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import ProblemError
from app.generation.names import HELD, MAX_NAMES, Holders, Postings, names
from app.generation.terms import check_terms, for_one_shard, pack_terms, unpack_terms
from app.generation.trigrams import BUCKETS, folded, trigrams, weights

LAST = 2**32 - 1
WEIGHTS = weights(np.arange(BUCKETS), BUCKETS)


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1, max_size=60), st.lists(st.integers(0, LAST), max_size=MAX_NAMES))
def test_terms_come_back_as_they_went(text: str, known: list[int]) -> None:
    text = folded(text)
    terms = pack_terms(text, WEIGHTS, known)
    check_terms([terms], 1)
    alone, found, buckets, weighed = unpack_terms(terms)
    assert (alone, found) == (False, known)
    marked = for_one_shard(terms)
    check_terms([marked], 1)
    assert unpack_terms(marked)[:2] == (True, known)
    assert marked[1:] == terms[1:]
    assert buckets.tolist() == trigrams([text])[0].tolist()
    assert weighed.tolist() == WEIGHTS[buckets].tolist()


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ((b"\0",), "terms of 1 questions, not of 2"),
        ((b"\0", b""), "terms are a byte, at most 5 times 4"),
        ((b"\0", b"\0ab"), "and 3 bytes each"),
        ((b"\0", b"\1abc"), "terms are a byte"),
        ((b"\0", b"\x81abc"), "terms are a byte"),
        ((b"\0", bytes((MAX_NAMES + 1,)) + b"abcd" * (MAX_NAMES + 1)), "at most 5 times"),
    ],
)
def test_wrong_terms_are_refused(terms: tuple[bytes, ...], message: str) -> None:
    with pytest.raises(ProblemError, match=message) as caught:
        check_terms(terms, 2)
    assert (caught.value.status, caught.value.code) == (400, "bad_terms")


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("error KX-4471b on Node.js?", "kx-4471b node.js"),
        ("what's new in iOS 9.3! isn't it", "9.3 isn't"),
        ("KX\u20134471b, KX\u20114471b \u2212 and KX-4471b's", "kx-4471b"),
        ("isn\u2019t", "isn't"),
        ("error:0x80070057 (KX-1/KX-2)", "0x80070057 kx-1 kx-2"),
        ("C++, C# and 12,000 or 1,a", "c++ c# 12,000 1"),
        ("KX-4471b\u7684\u8bf4\u660e\u4e66\uff0c9\u3002", "kx-4471b 9"),
        ("\u30a8\u30e9\u30fcE1234\u306e\u89e3\u6c7a", "e1234"),
        ("\u8bf7\u95ee\uff0c\u5982\u4f55\uff1f", ""),
        ("(v2) \u201cv2\u201d v2.", "v2"),
        ("x", ""),
        ("how? ... -- (why)", ""),
        ("\u0928\u092e\u0938\u094d\u0924\u0947 \u092e\u093f\u0932\u0928\u093e", ""),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", ""),
        ("\uff21\uff11", "a1"),
    ],
    ids=ascii,
)
def test_what_looks_like_a_name(text: str, same: str) -> None:
    """A digit, or punctuation inside; marks and joiners of other scripts are neither."""
    found = names(folded(text))
    assert found == names(folded(same))
    assert len(found) == len(same.split())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 7, LAST]), st.integers(0, LAST)), max_size=20))
def test_postings_have_the_numbers_of_each_name(pairs: list[tuple[int, int]]) -> None:
    held = np.array([name for name, _ in pairs], np.uint32)
    postings = Postings(held, np.array([number for _, number in pairs], np.int64))
    for name in (0, 1, 2, 7, LAST):
        assert postings.numbers(name) == sorted({number for own, number in pairs if own == name})


def test_a_name_has_the_shards_of_each_of_its_documents() -> None:
    held = [(7, 50, 3), (7, 50, 999), (9, 50, 3), (7, 4, 3), (LAST, LAST, 0)]
    holders = Holders(np.array(held, HELD))
    assert holders.shards(7) == [[3], [3, 999]]
    assert holders.shards(9) == [[3]]
    assert holders.shards(LAST) == [[0]]
    assert holders.shards(8) == []
    assert Holders(np.empty(0, HELD)).shards(7) == []

"""One way of cleaning for questions and documents: what goes, what stays, and how long it takes."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.generation.text import MAX_MARKS, clean

CLEANED = [
    ("abc\x01def", "abc def"),
    ("a\r\n\tb\x85c\u2028d", "a b c d"),
    ("a\u00a0b\u202fc\u3000d", "a b c d"),
    ("\u200b", ""),
    ("soft\u00adhyphen", "softhyphen"),
    ("\ufeffa\u2060b\u200ec\u202ed\u2066e", "abcde"),
    ("e\u0301te\u0301", "\u00e9t\u00e9"),
    ("e\u00ad\u0301", "\u00e9"),
    ("\u1112\u1161\u11ab", "\ud55c"),
    ("\u212b \u2126", "\u00c5 \u03a9"),
    ("\u3164\u115f\u1160\uffa0", ""),
    # What changes how a text is written stays where it does, and goes where it cannot.
    (
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    ),
    ("5\u200c\u062a\u0627", "5\u200c\u062a\u0627"),
    ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"),
    ("\u0915\u094d\u200c \u200cab\u200dc", "\u0915\u094d abc"),
    ("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"),
    ("\u2764\ufe0f\u200d\U0001f525", "\u2764\ufe0f\u200d\U0001f525"),
    ("1\ufe0f\u20e3", "1\ufe0f\u20e3"),
    ("a\ufe0fb \ufe0f \u200d", "ab"),
    ("hi\U000e0068\U000e0069", "hi"),
    ("Case, and: punctuation!", "Case, and: punctuation!"),
    ("\uff21\u00bd\ufb01", "\uff21\u00bd\ufb01"),
]


@pytest.mark.parametrize(("text", "wanted"), CLEANED, ids=lambda text: ascii(text)[:40])
def test_what_goes_and_what_stays(text: str, wanted: str) -> None:
    assert clean(text) == wanted


def test_marks_in_a_row_are_limited() -> None:
    assert clean("a" + "\u0334" * MAX_MARKS + "b") == "a" + "\u0334" * MAX_MARKS + "b"
    assert clean("a" + "\u0334" * 1000 + "b") == "a" + "\u0334" * MAX_MARKS + "b"


ODD = st.sampled_from(
    "aeK19# \t\x00\u00a0\u2000\u00ad\u200b\u200c\u200d\ufe0f\u034f\u0301\u0323\u0344\u0345\u0334"
    "\u00e9\u0958"
    "\u212a\u037e\u1100\u1161\u11a8\u0915\u094d\U0001f469\U000e0067\u180e\ufffc"
)


@given(st.text(ODD, max_size=12) | st.text() | st.text("\u0344\u0301\u0323", max_size=100))
def test_clean_text_is_one_composed_line_and_stays_as_it_is(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert once == " ".join(once.split())
    assert unicodedata.is_normalized("NFC", once)

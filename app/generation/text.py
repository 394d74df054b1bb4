"""The one way in which a text is cleaned, whether it is a question or a document.

What is asked and what is stored must be the same characters, or a document does not find itself.
Which characters go and which stay: docs/decisions/0031-cleaning-of-text.md.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise

MAX_CHARACTERS = 2000
"""Longest question, and longest text of a document, in characters after cleaning."""

MAX_MARKS = 30
"""Combining marks that stay in a row: the Stream-Safe Text Format of UAX #15."""


def _class(codes: Iterable[int]) -> str:
    """Code points, ascending, as the inside of a character class."""
    found = list(codes)
    starts = [found[0], *(b for a, b in pairwise(found) if b != a + 1)]
    ends = [*(a for a, b in pairwise(found) if b != a + 1), found[-1]]
    return "".join(f"\\U{a:08x}-\\U{b:08x}" for a, b in zip(starts, ends, strict=True))


# Unicode's Default_Ignorable_Code_Point but for what is below, and the object replacement.
_IGNORED = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufff8\ufffc\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e001f\U000e0080-\U000e00ff\U000e01f0-\U000e0fff]"
)
# Default_Ignorable_Code_Point too, but what is written looks different without them: joiners
# (Persian, Indic scripts, emoji), selectors of variants, tags (flags).
_JOINERS = "\u200c\u200d"
_SELECTORS = "\u180b-\u180f\ufe00-\ufe0f\U000e0020-\U000e007f\U000e0100-\U000e01ef"
# They mean something behind such a character, joiners also need one of another script after them.
_STRAY = re.compile(
    f"(?<![0-9#*\x80-\U0010ffff])[{_JOINERS}{_SELECTORS}]+|[{_JOINERS}]+(?![\x80-\U0010ffff])"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MARKS = _class(code for code in range(0x300, 0x1F000) if unicodedata.combining(chr(code)))
_MANY_MARKS = re.compile(f"([{_MARKS}]{{{MAX_MARKS}}})[{_MARKS}]+")


def clean(text: str) -> str:
    """One line of clean text, in time that grows with its length alone.

    NFC; control characters as spaces; no characters that nobody can see, but for joiners and
    selectors where they change what is written; at most `MAX_MARKS` combining marks in a row;
    every run of white space one space, none at the ends. Case and punctuation stay. Applying it
    twice changes nothing.
    """
    if text.isascii():
        return " ".join((text if text.isprintable() else _CONTROL.sub(" ", text)).split())
    text = _CONTROL.sub(" ", _IGNORED.sub("", text))
    text = unicodedata.normalize("NFC", _MANY_MARKS.sub(r"\1", text))
    text = _MANY_MARKS.sub(r"\1", text)  # NFC makes two marks of a few
    text = _STRAY.sub("", " ".join(text.split()))
    return " ".join(unicodedata.normalize("NFC", text).split())

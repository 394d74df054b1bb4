"""What a document is, and what its text looks like once it is clean."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

MAX_TEXT = 2000
"""Longest question in characters; the gateway refuses longer ones too."""
MAX_ID = 512
"""Longest id in characters."""
MAX_ANSWER = 32_768
"""Longest answer in characters, and longest metadata as JSON in bytes."""

_INVISIBLE = str.maketrans("", "", "\u200b\ufeff\ufffc")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Document:
    """One known question.

    Attributes:
        id: Unique in its corpus, never empty.
        text: The question, as `normalise` leaves it: 1 to `MAX_TEXT` characters.
        answer: Its answer, where the corpus has one.
        metadata: Whatever else is to come back with it.
    """

    id: str
    text: str
    answer: str | None = None
    metadata: dict[str, JSON] | None = None


def normalise(text: str) -> str:
    """One line of clean text.

    NFC, control characters as spaces, zero-width spaces and byte order marks removed, every run
    of white space one space, none at the ends. Case and punctuation stay. Applying it twice
    changes nothing.
    """
    if not text.isprintable():
        text = _CONTROL.sub(" ", text.translate(_INVISIBLE))
    elif "\ufffc" in text:
        text = text.translate(_INVISIBLE)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.split())


def normalise_answer(answer: str) -> str | None:
    """NFC, no NUL, no white space at the ends, lines kept; None if nothing is left."""
    answer = unicodedata.normalize("NFC", answer).replace("\x00", "").strip()
    return answer or None

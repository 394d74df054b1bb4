"""What a document is, and what its answer looks like once it is clean."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TypeAlias

from app.generation.text import MAX_CHARACTERS

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

MAX_TEXT = MAX_CHARACTERS
"""Longest question in characters; the gateway refuses longer ones too."""
MAX_ID = 512
"""Longest id in characters."""
MAX_ANSWER = 32_768
"""Longest answer in characters, and longest metadata as JSON in bytes."""


@dataclass(frozen=True, slots=True)
class Document:
    """One known question.

    Attributes:
        id: Unique in its corpus, never empty.
        text: The question, as `clean` leaves it: 1 to `MAX_TEXT` characters.
        answer: Its answer, where the corpus has one.
        metadata: Whatever else is to come back with it.
    """

    id: str
    text: str
    answer: str | None = None
    metadata: dict[str, JSON] | None = None


def normalise_answer(answer: str) -> str | None:
    """NFC, no NUL, no white space at the ends, lines kept; None if nothing is left."""
    answer = unicodedata.normalize("NFC", answer).replace("\x00", "").strip()
    return answer or None

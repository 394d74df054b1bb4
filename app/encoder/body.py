"""What callers may send to the encoder, checked: every fault is a 4xx that names the field."""

from __future__ import annotations

import re

import msgspec

from app.errors import ProblemError
from app.generation.model import Side

MAX_TEXTS = 256
MAX_CHARACTERS = 8000
MAX_BODY = 8 << 20


class EncodeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /encode."""

    texts: list[str]


# Made once: threads that decode a type for the first time at the same moment can crash msgspec.
_REQUEST = msgspec.json.Decoder(EncodeRequest)


def parse_side(value: str | None) -> Side:
    """What the texts are; questions unless ``value`` says otherwise. Raises: ProblemError 400."""
    if value is None or value == "query":
        return "query"
    if value == "document":
        return "document"
    raise ProblemError(
        400, "bad_side", f"side is query or document, not {value[:40]!r}", field="side"
    )


def parse_texts(body: bytes) -> list[str]:
    """The texts of a request: 1..256 strings of 1..8,000 characters.

    Raises: ProblemError 400 naming the member at fault, 413 for too many or too long.
    """
    try:
        texts = _REQUEST.decode(body).texts
    except msgspec.ValidationError as error:
        fault, _, path = str(error).partition(" - at ")
        # "$.texts[3]" when a member is wrong; a missing or unknown one is named in the text
        named = re.search(r" field `(.+)`$", fault)
        field = path.strip("`").removeprefix("$.") or (named.group(1) if named else None)
        raise ProblemError(400, "bad_body", fault, field=field) from None
    except UnicodeDecodeError:
        raise ProblemError(400, "invalid_utf8", "the body is not UTF-8") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProblemError(400, "invalid_json", f"the body is not valid JSON: {error}") from None
    check_texts(texts)
    return texts


def check_texts(texts: list[str]) -> None:
    """Raise ProblemError 400 or 413 unless they are 1..256 strings of 1..8,000 characters."""
    if not texts:
        raise ProblemError(400, "bad_texts", "texts is empty", field="texts")
    if len(texts) > MAX_TEXTS:
        raise ProblemError(
            413, "too_many", f"texts has {len(texts)} members, at most {MAX_TEXTS}", field="texts"
        )
    for place, text in enumerate(texts):
        _check(text, f"texts[{place}]")


def _check(text: str, field: str) -> None:
    if not text.strip():
        raise ProblemError(400, "empty_text", f"{field} is empty", field=field)
    if len(text) > MAX_CHARACTERS:
        raise ProblemError(
            413,
            "too_long",
            f"{field} has {len(text)} characters, at most {MAX_CHARACTERS}",
            field=field,
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ProblemError(
            400, "invalid_utf8", f"{field} holds half of a surrogate pair", field=field
        ) from None

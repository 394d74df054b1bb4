"""From the fields of one row, whatever file it came from, to a document or a fault."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import orjson

from app.generation.text import clean
from index_builder.corpus.bad_lines import Fault, Reason
from index_builder.corpus.document import (
    JSON,
    MAX_ANSWER,
    MAX_ID,
    MAX_TEXT,
    Document,
    normalise_answer,
)

_NAMES = {type(None): "null", bool: "true or false", str: "a string", list: "a list"}


def document_of(fields: Mapping[str, JSON]) -> Document | Fault:
    """Read `text`, `id`, `answer`, `metadata`; other keys are the reader's business.

    `text` must be a string with something in it. `id` may be a string or a whole number; without
    one the document is named after its text (`id_of_text`). `answer` is a string, `metadata` an
    object; null and an empty string count as absent.
    """
    text = fields.get("text")
    if not isinstance(text, str):
        return Fault(Reason.NO_TEXT) if text is None else _wrong("text", text, "a string")
    text = clean(text)
    if not text:
        return Fault(Reason.NO_TEXT)
    if len(text) > MAX_TEXT:
        return Fault(Reason.TOO_LONG, f"text has {len(text):,} characters, {MAX_TEXT:,} at most")
    name = _id(fields.get("id"), text)
    if isinstance(name, Fault):
        return name
    answer = fields.get("answer")
    if isinstance(answer, str):
        answer = normalise_answer(answer)
        if answer is not None and len(answer) > MAX_ANSWER:
            return Fault(
                Reason.TOO_LONG, f"answer has {len(answer):,} characters, {MAX_ANSWER:,} at most"
            )
    elif answer is not None:
        return _wrong("answer", answer, "a string")
    metadata = fields.get("metadata")
    if isinstance(metadata, dict):
        try:
            size = len(orjson.dumps(metadata))
        except TypeError:  # what orjson reads nested so deeply it does not write
            return Fault(Reason.TOO_LONG, "metadata is nested too deeply")
        if size > MAX_ANSWER:
            return Fault(Reason.TOO_LONG, f"metadata has over {MAX_ANSWER:,} bytes")
    elif metadata is not None:
        return _wrong("metadata", metadata, "an object")
    return Document(id=name, text=text, answer=answer, metadata=metadata or None)


def id_of_text(text: str) -> str:
    """The id of a document that was given none: it stays the same when lines around it change."""
    return f"t-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def _id(value: JSON, text: str) -> str | Fault:
    if value is None or value == "":
        return id_of_text(text)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return _wrong("id", value, "a string")
    name = str(value).strip()
    if len(name) > MAX_ID:
        return Fault(Reason.TOO_LONG, f"id has {len(name):,} characters, {MAX_ID} at most")
    if not name.isprintable():
        return Fault(Reason.BAD_TYPE, "id holds characters that cannot be printed")
    return name or id_of_text(text)


def _wrong(field: str, value: JSON, wanted: str) -> Fault:
    found = _NAMES.get(type(value), "an object" if isinstance(value, dict) else "a number")
    return Fault(Reason.BAD_TYPE, f"{field} is {found}, not {wanted}")

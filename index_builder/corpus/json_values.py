"""JSON as a corpus has it: what comes back to callers is what went in, or it is refused."""

from __future__ import annotations

import json
import re

import orjson

from index_builder.corpus.document import JSON

_MANY_DIGITS = re.compile(rb"[0-9]{19}")


def read_json(data: bytes | str) -> JSON:
    """Parse one JSON value.

    Raises: orjson.JSONDecodeError for what is no JSON, and for a whole number that does not fit 64
        bits, which orjson would round without a word.
    """
    value: JSON = orjson.loads(data)
    raw = data.encode() if isinstance(data, str) else data
    if _MANY_DIGITS.search(raw):
        try:
            json.loads(raw, parse_int=lambda digits: _whole(digits, raw.decode()))
        except RecursionError:
            raise orjson.JSONDecodeError("nested too deep", raw.decode(), 0) from None
    return value


def _whole(digits: str, text: str) -> int:
    number = int(digits) if len(digits) < 22 else 1 << 64
    if not -(1 << 63) <= number < 1 << 64:
        fault = "a whole number over 64 bits; write it as a string"
        raise orjson.JSONDecodeError(fault, text, text.index(digits))
    return number

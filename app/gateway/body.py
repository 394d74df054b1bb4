"""What callers may send to the gateway, checked: every fault is a 4xx that names the field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from flask import Request

from app.errors import ProblemError
from app.generation.routing import Probe
from app.wire import CANARY_HEADER

MAX_CHARACTERS = 2000
MAX_QUERIES = 64
MAX_K = 100
DEFAULT_K = 10
MAX_PROBE = 9999


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A checked search: 1..64 questions of 1..2,000 characters, ``k`` 1..100."""

    queries: tuple[str, ...]
    k: int = DEFAULT_K
    probe: Probe = "auto"


def bad(code: str, detail: str, field: str | None = None, status: int = 400) -> ProblemError:
    """A 4xx naming the field at fault."""
    return ProblemError(status, code, detail, field=field)


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object whatever the Content-Type says; raises ProblemError 400."""
    if not body.strip():
        raise bad("empty_body", "the body is empty; send a JSON object")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise bad("invalid_utf8", f"the body is not UTF-8 (byte {error.start})") from error
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise bad("invalid_json", f"the body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise bad("invalid_json", "the body is not a JSON object")
    return value


def check_queries(value: object, field: str) -> tuple[str, ...]:
    """Check a list of questions; raises ProblemError naming the list or its member."""
    if not isinstance(value, list):
        raise bad("bad_queries", f"{field} must be a list of strings", field)
    if not value:
        raise bad("bad_queries", f"{field} is empty", field)
    if len(value) > MAX_QUERIES:
        raise bad("too_many", f"{field} has {len(value)} questions, at most {MAX_QUERIES}", field)
    return tuple(check_query(item, f"{field}[{place}]") for place, item in enumerate(value))


def check_query(value: object, field: str) -> str:
    """Check one question; returns it without surrounding white space."""
    if not isinstance(value, str):
        raise bad("bad_query", f"{field} must be a string", field)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise bad("bad_query", f"{field} holds half of a surrogate pair", field) from error
    if len(value) > MAX_CHARACTERS:
        raise bad(
            "too_long", f"{field} has {len(value)} characters, at most {MAX_CHARACTERS}", field
        )
    if not value.strip():
        raise bad("empty_query", f"{field} is empty", field)
    return value.strip()


def check_k(value: object) -> int:
    """Check ``k``, a whole number of 1..100."""
    number = _whole(value)
    if number is None or not 1 <= number <= MAX_K:
        raise bad("bad_k", f"k must be a whole number from 1 to {MAX_K}", "k")
    return number


def check_probe(value: object) -> Probe:
    """Check ``probe``: "auto", "all" or a number of shards from 1 to 9,999."""
    if value == "auto":
        return "auto"
    if value == "all":
        return "all"
    number = _whole(value)
    if number is not None and 1 <= number <= MAX_PROBE:
        return number
    detail = f'probe must be "auto", "all" or a number of shards from 1 to {MAX_PROBE}'
    raise bad("bad_probe", detail, "probe")


def parse_process(body: bytes) -> SearchRequest:
    """The body of POST /process: ``{"instances": ["…", …]}``."""
    value = parse_object(body)
    if "instances" not in value:
        raise bad("missing_field", "instances is missing: a list of questions", "instances")
    return SearchRequest(queries=check_queries(value["instances"], "instances"), k=1)


def parse_search(body: bytes) -> SearchRequest:
    """The body of POST /v1/search: ``{"queries": […], "k": 10, "probe": "auto"}``."""
    value = parse_object(body)
    for name in value:
        if name not in {"queries", "k", "probe"}:
            raise bad("unknown_field", f"{name!r} is not known: queries, k, probe", name)
    if "queries" not in value:
        raise bad("missing_field", "queries is missing: a list of questions", "queries")
    return SearchRequest(
        queries=check_queries(value["queries"], "queries"),
        k=check_k(value.get("k", DEFAULT_K)),
        probe=check_probe(value.get("probe", "auto")),
    )


def parse_query_string(query: bytes) -> SearchRequest:
    """The query string of GET /v1/search: ``q``, ``k``, ``probe``; of a repeated one the first."""
    args: dict[str, str] = {}
    # Latin-1 keeps every byte, so that what is not UTF-8 is told and not replaced.
    for name, value in parse_qsl(
        query.decode("latin-1"), keep_blank_values=True, encoding="latin-1"
    ):
        args.setdefault(_utf8(name, None), _utf8(value, name))
    for name in args:
        if name not in {"q", "k", "probe", "cache"}:
            raise bad("unknown_field", f"{name!r} is not known: q, k, probe, cache", name)
    if "q" not in args:
        raise bad("missing_field", "q is missing: the question", "q")
    k, probe = args.get("k", str(DEFAULT_K)), args.get("probe", "auto")
    return SearchRequest(
        queries=(check_query(args["q"], "q"),),
        k=check_k(_number(k)),
        probe=check_probe(_number(probe)),
    )


def may_remember(request: Request) -> bool:
    """Whether an answer may come from memory: not with ``cache=0`` in the URL, nor for a canary."""
    told = request.args.get("cache", "1")
    if told not in {"0", "1"}:
        raise bad("bad_cache", "cache must be 0 or 1", "cache")
    return told == "1" and CANARY_HEADER not in request.headers


def _utf8(latin: str, field: str | None) -> str:
    try:
        return latin.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError as error:
        what = field or "the name of a parameter"
        raise bad("invalid_utf8", f"{what} is not UTF-8 (byte {error.start})", field) from error


def _whole(value: object) -> int | None:
    """A whole number; JSON makes no difference between 5 and 5.0, and some writers neither."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(text: str) -> int | str:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 10 else text

"""What callers may send to the gateway, checked: every fault is a 4xx that names the field."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from app.errors import ProblemError
from app.generation.filters import filter_text
from app.generation.routing import Probe
from app.generation.text import MAX_CHARACTERS, clean
from app.service.request import Request
from app.wire import CANARY_HEADER

T = TypeVar("T")

MAX_QUERIES = 64
# Of all questions of a request: what the smallest supported machine encodes within the default
# deadline, whatever the language (docs/performance.md).
MAX_TOTAL = 8000
MAX_K = 100
DEFAULT_K = 10
MAX_PROBE = 9999
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,3})?")
MAX_NAME = 100  # of a caller's own member that an error repeats, in characters


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A checked search: 1..64 clean questions of 1..2,000 characters, ``k`` 1..100.

    ``rescore``: whether words may order the answers too, where the generation has them.
    ``min_confidence``: how sure an answer must be, 0 to 1; None for the fleet's own default.
    ``filter``: what documents must pass (``filters.filter_text``); "" for all.
    """

    queries: tuple[str, ...]
    k: int = DEFAULT_K
    probe: Probe = "auto"
    rescore: bool = True
    min_confidence: float | None = None
    filter: str = ""


def bad(code: str, detail: str, field: str | None = None, status: int = 400) -> ProblemError:
    """A 4xx naming the field at fault."""
    return ProblemError(status, code, detail, field=field)


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object whatever the Content-Type says; raises ProblemError 400.

    A byte order mark is skipped. Half of a surrogate pair stays in its string, for its member to be
    named; msgspec would refuse the whole body.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise bad("invalid_utf8", f"the body is not UTF-8 (byte {error.start})") from error
    if not text.strip():
        raise bad("empty_body", "the body is empty; send a JSON object")
    try:
        value = _JSON.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise bad("invalid_json", f"the body is not valid JSON ({where})") from error
    except RecursionError as error:
        raise bad("invalid_json", "the body is nested too deep") from error
    except ValueError as error:
        raise bad("invalid_json", "the body has a number that JSON readers cannot hold") from error
    if not isinstance(value, dict):
        raise bad("invalid_json", "the body is not a JSON object")
    return value


def _refuse(number: str) -> float:
    raise ValueError(number)


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


_JSON = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse)


def check_queries(value: object, field: str) -> tuple[str, ...]:
    """Check a list of questions; raises ProblemError naming the list or its member."""
    if not isinstance(value, list):
        raise bad("bad_queries", f"{field} must be a list of strings", field)
    if not value:
        raise bad("bad_queries", f"{field} is empty", field)
    if len(value) > MAX_QUERIES:
        raise bad("too_many", f"{field} has {len(value)} questions, at most {MAX_QUERIES}", field)
    queries = tuple(check_query(item, f"{field}[{place}]") for place, item in enumerate(value))
    total = sum(map(len, queries))
    if total > MAX_TOTAL:
        detail = (
            f"{field} has {total:,} characters in all, at most {MAX_TOTAL:,}; "
            "send the questions in several requests"
        )
        raise bad("too_much_text", detail, field, status=413)
    return queries


def check_query(value: object, field: str) -> str:
    """Check one question; returns it clean, as documents are."""
    if not isinstance(value, str):
        raise bad("bad_query", f"{field} must be a string", field)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise bad("bad_query", f"{field} holds half of a surrogate pair", field) from error
    text = clean(value)
    if not text:
        raise bad("empty_query", f"{field} is empty", field)
    if len(text) > MAX_CHARACTERS:
        raise bad(
            "too_long", f"{field} has {len(text):,} characters, at most {MAX_CHARACTERS:,}", field
        )
    return text


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


def check_min_confidence(value: object) -> float:
    """Check ``min_confidence``, a number from 0 to 1."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:  # type: ignore[operator]  # it is a number
        detail = "min_confidence must be a number from 0 to 1"
        raise bad("bad_min_confidence", detail, "min_confidence")
    return float(value)  # type: ignore[arg-type]  # as above


def check_filter(value: object) -> str:
    """Check ``filter``, an object; its fields are those of a generation, which checks them."""
    if not isinstance(value, dict):
        detail = 'filter must be an object, such as {"set": "faq", "year": {"gte": 2020}}'
        raise bad("bad_filter", detail, "filter")
    return filter_text(value) if value else ""


def parse_process(body: bytes) -> SearchRequest:
    """The body of POST /process: ``{"instances": ["…", …]}``."""
    value = parse_object(body)
    if "instances" not in value:
        raise bad("missing_field", "instances is missing: a list of questions", "instances")
    return SearchRequest(queries=check_queries(value["instances"], "instances"), k=1)


def parse_search(body: bytes) -> SearchRequest:
    """The body of POST /v1/search: ``{"queries": […], "k": 10, "probe": "auto", …}``."""
    value = parse_object(body)
    for name in value:
        if name not in {"queries", "k", "probe", "min_confidence", "filter"}:
            raise _unknown(name, "queries, k, probe, min_confidence, filter")
    if "queries" not in value:
        raise bad("missing_field", "queries is missing: a list of questions", "queries")
    return SearchRequest(
        queries=check_queries(value["queries"], "queries"),
        k=check_k(value.get("k", DEFAULT_K)),
        probe=check_probe(value.get("probe", "auto")),
        min_confidence=_given(value, "min_confidence", check_min_confidence),
        filter=_given(value, "filter", check_filter) or "",
    )


def parse_query_string(query: bytes) -> SearchRequest:
    """The query string of GET /v1/search: ``q``, ``k``, ``probe``; of a repeated one the first."""
    args: dict[str, str] = {}
    # Latin-1 keeps every byte, so that what is not UTF-8 is told and not replaced.
    for name, value in parse_qsl(
        query.decode("latin-1"), keep_blank_values=True, encoding="latin-1"
    ):
        known = _utf8(name, None)
        args.setdefault(known, _utf8(value, known))
    for name in args:
        if name not in {"q", "k", "probe", "min_confidence", "filter", "cache", "rescore"}:
            raise _unknown(name, "q, k, probe, min_confidence, filter, cache, rescore")
    if "q" not in args:
        raise bad("missing_field", "q is missing: the question", "q")
    k, probe = args.get("k", str(DEFAULT_K)), args.get("probe", "auto")
    return SearchRequest(
        queries=(check_query(args["q"], "q"),),
        k=check_k(_number(k)),
        probe=check_probe(_number(probe)),
        min_confidence=_given(args, "min_confidence", lambda v: check_min_confidence(_decimal(v))),
        filter=_given(args, "filter", _filter_in_url) or "",
    )


def may_remember(request: Request) -> bool:
    """Whether an answer may come from memory: not with ``cache=0`` in the URL, nor for a canary."""
    on = _switch(request, "cache")
    if on is None:
        raise bad("bad_cache", "cache must be 0 or 1", "cache")
    return on and not request.has(CANARY_HEADER.lower())


def may_rescore(request: Request) -> bool:
    """Whether words may order the answers too: not with ``rescore=0`` in the URL."""
    on = _switch(request, "rescore")
    if on is None:
        raise bad("bad_rescore", "rescore must be 0 or 1", "rescore")
    return on


def _switch(request: Request, name: str) -> bool | None:
    """A parameter of the URL that is 0 or 1, 1 where it is missing; None for anything else."""
    value = request.args().get(name, "1") if request.query else "1"
    return {"0": False, "1": True}.get(value)


def _unknown(name: str, known: str) -> ProblemError:
    """Names a caller's own word, cut short, in what UTF-8 can write."""
    shown = name[:MAX_NAME].encode("utf-8", "backslashreplace").decode()
    return bad("unknown_field", f"{shown!r} is not known: {known}", shown)


def _utf8(latin: str, field: str | None) -> str:
    try:
        return latin.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError as error:
        what = (field or "the name of a parameter")[:MAX_NAME]
        detail = f"{what} is not UTF-8 (byte {error.start})"
        raise bad("invalid_utf8", detail, field and field[:MAX_NAME]) from error


def _whole(value: object) -> int | None:
    """A whole number; JSON makes no difference between 5 and 5.0, and some writers neither."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _given(members: Mapping[str, Any], name: str, check: Callable[[Any], T]) -> T | None:
    """A member that was checked; None where it is missing."""
    return check(members[name]) if name in members else None


def _filter_in_url(text: str) -> str:
    try:
        value = _JSON.decode(text)
    except (ValueError, RecursionError):
        value = None
    return check_filter(value)


def _decimal(text: str) -> float | str:
    """A number as JSON writes it: 0.9, 1, 9e-1."""
    return float(text) if re.fullmatch(_JSON_NUMBER, text) else text


def _number(text: str) -> int | str:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 10 else text

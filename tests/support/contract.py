"""The shapes that every answer has, checked exactly."""

from typing import Any

import msgspec
from werkzeug.test import TestResponse

TITLES = {
    400: "Bad request",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    411: "Length required",
    413: "Request too large",
    415: "Unsupported media type",
    500: "Internal error",
    502: "Bad gateway",
    503: "Service unavailable",
    504: "Gateway timeout",
}
# What a stack trace, or a Python value printed by mistake, would look like.
LEAKS = ("Traceback", 'File "', ".py", "<class", "object at 0x", "Error(", "Exception")


class Problem(msgspec.Struct, forbid_unknown_fields=True):
    """RFC 9457, and two members of ours."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None


def check_problem(
    answer: TestResponse, status: int, code: str | None = None, field: str | None = None
) -> Problem:
    """The answer is a problem of this status, and whole: type, members, headers."""
    assert answer.status_code == status, answer.data
    assert answer.content_type == "application/problem+json"
    problem = msgspec.json.decode(answer.data, type=Problem)
    assert problem.status == status
    assert problem.title == TITLES[status]
    assert problem.type == f"urn:askfleet:problem:{problem.code}"
    assert problem.code == problem.code.lower()
    assert problem.code.replace("_", "").isalnum()
    assert problem.detail
    assert not any(leak in problem.detail for leak in LEAKS), problem.detail
    members: dict[str, Any] = msgspec.json.decode(answer.data)
    assert "field" not in members or problem.field is not None
    if code is not None:
        assert (problem.code, problem.field) == (code, field)
    return problem


class Hit(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    text: str
    answer: str | None
    score: float
    lexical: float | None
    metadata: dict[str, Any] | None
    matched: str


class Query(msgspec.Struct, forbid_unknown_fields=True):
    match: str | None
    confidence: float | None
    results: list[Hit]
    partial: bool
    shards_asked: list[int]
    shards_missing: list[int]


class Timings(msgspec.Struct, forbid_unknown_fields=True):
    encode: float
    route: float
    search: float
    merge: float
    total: float


class Search(msgspec.Struct, forbid_unknown_fields=True):
    """The body of /v1/search."""

    generation: str
    model: str
    partial: bool
    queries: list[Query]
    timings_ms: Timings


class Process(msgspec.Struct, forbid_unknown_fields=True):
    """The body of /process."""

    match: str | None
    matches: list[str | None]
    generation: str
    partial: bool


class ShardHit(msgspec.Struct, forbid_unknown_fields=True):
    ordinal: int
    id: str
    score: float
    text: str
    answer: str | None
    metadata: dict[str, Any] | None
    lexical: float | None = None
    named: bool = False


class ShardSearch(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a shard's /search."""

    generation: str
    shard: int
    results: list[list[ShardHit]]
    rest: list[tuple[list[int], list[float]]] | None = None


class Encoded(msgspec.Struct, forbid_unknown_fields=True):
    """The body of the encoder's /encode, for people."""

    model: str
    dim: int
    vectors: list[list[float]]


def read(answer: TestResponse, shape: type[Any]) -> Any:
    """A JSON answer of 200 of exactly this shape."""
    assert answer.status_code == 200, answer.data
    assert answer.content_type == "application/json"
    return msgspec.json.decode(answer.data, type=shape, strict=True)

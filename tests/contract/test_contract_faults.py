"""Every route with every fault: a problem body that names the field, never a 500."""

import json
from typing import Any

import pytest
from asgi_client import CALLER_GONE
from contract import Process, Search, check_problem, read
from local_fleet import LocalFleet

from app.generation.filters import MAX_FILTER
from app.wire import vectors_to_bytes

FORM = "application/x-www-form-urlencoded"
# route -> the member that holds the questions
LISTS = {"/process": "instances", "/v1/search": "queries"}


def post(fleet: LocalFleet, route: str, body: Any, **options: Any) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return fleet.gateway.post(route, data=data, **options)


# --- bodies that are no JSON object ----------------------------------------------------------

NO_OBJECT = [
    (b"", "empty_body"),
    (b" \r\n\t", "empty_body"),
    (b"{", "invalid_json"),
    (b'{"queries": ["a"]', "invalid_json"),
    (b"queries=a", "invalid_json"),
    (b"{'queries': ['a']}", "invalid_json"),
    (b'{"queries": ["a"],}', "invalid_json"),
    (b'{"queries": ["a"]} x', "invalid_json"),
    (b'{"queries": ["a\nb"]}', "invalid_json"),
    (b'{"k": NaN}', "invalid_json"),
    (b'{"k": Infinity}', "invalid_json"),
    (b'{"k": 1e999}', "invalid_json"),
    (b'{"k": ' + b"9" * 5000 + b"}", "invalid_json"),
    (b"[" * 100_000, "invalid_json"),
    (b'{"a":' * 100_000, "invalid_json"),
    (b"[" * 5000 + b"]" * 5000, "invalid_json"),
    (b"[]", "invalid_json"),
    (b'["a"]', "invalid_json"),
    (b'"a"', "invalid_json"),
    (b"1", "invalid_json"),
    (b"null", "invalid_json"),
    (b"true", "invalid_json"),
    (b"\x00", "invalid_json"),
    (b"\xef\xbb\xbf", "empty_body"),
    (b"\xef\xbb\xbf{", "invalid_json"),
    (b'{"queries": ["\xff"]}', "invalid_utf8"),
    (b'{"queries": ["\xc3"]}', "invalid_utf8"),
    (b'{"queries": ["\xed\xa0\x80"]}', "invalid_utf8"),
    ('{"queries": ["é"]}'.encode("latin-1"), "invalid_utf8"),
    ('{"queries": ["a"]}'.encode("utf-16"), "invalid_utf8"),
]


@pytest.mark.parametrize("route", LISTS)
@pytest.mark.parametrize(("body", "code"), NO_OBJECT, ids=lambda value: repr(value)[:30])
def test_what_is_no_json_object(fleet: LocalFleet, route: str, body: bytes, code: str) -> None:
    check_problem(post(fleet, route, body), 400, code)


# --- the list of questions -------------------------------------------------------------------

MEMBERS = [
    ("missing_field", "{list}", {}),
    ("bad_queries", "{list}", None),
    ("bad_queries", "{list}", "a"),
    ("bad_queries", "{list}", 1),
    ("bad_queries", "{list}", {"0": "a"}),
    ("bad_queries", "{list}", True),
    ("bad_queries", "{list}", []),
    ("too_many", "{list}", ["a"] * 65),
    ("bad_query", "{list}[0]", [1]),
    ("bad_query", "{list}[0]", [None]),
    ("bad_query", "{list}[1]", ["a", ["b"]]),
    ("bad_query", "{list}[2]", ["a", "b", {"c": 1}]),
    ("bad_query", "{list}[1]", ["a", False]),
    ("empty_query", "{list}[0]", [""]),
    ("empty_query", "{list}[1]", ["a", " \t\r\n"]),
    ("empty_query", "{list}[0]", ["\u00a0\u2003"]),
    ("empty_query", "{list}[0]", ["\u200b"]),
    ("empty_query", "{list}[1]", ["a", "\u00ad\ufeff \x00\u3164\u200d\ufe0f"]),
    ("empty_query", "{list}[0]", [" " * 2001]),
    ("bad_query", "{list}[0]", ["\ud800"]),
    ("bad_query", "{list}[2]", ["a", "b", "\udc00 x"]),
    ("too_long", "{list}[0]", ["a" * 2001]),
    ("too_long", "{list}[63]", ["a"] * 63 + ["é" * 2001]),
]


@pytest.mark.parametrize("route", LISTS)
@pytest.mark.parametrize(("code", "field", "value"), MEMBERS, ids=lambda value: repr(value)[:30])
def test_a_wrong_list_is_named(
    fleet: LocalFleet, route: str, code: str, field: str, value: Any
) -> None:
    name = LISTS[route]
    body = {} if value == {} else {name: value}
    check_problem(post(fleet, route, body), 400, code, field.format(list=name))


@pytest.mark.parametrize("route", LISTS)
def test_the_longest_and_the_most_are_answered(fleet: LocalFleet, route: str) -> None:
    name = LISTS[route]
    shape = {"/process": Process, "/v1/search": Search}[route]
    read(post(fleet, route, {name: ["é" * 2000]}), shape)
    many = read(post(fleet, route, {name: [f"question {n}" for n in range(64)]}), shape)
    assert len(many.matches if route == "/process" else many.queries) == 64


@pytest.mark.parametrize("route", LISTS)
def test_a_request_has_so_much_text_and_no_more(fleet: LocalFleet, route: str) -> None:
    """Counted clean, over all its questions, whatever their number."""
    name = LISTS[route]
    assert post(fleet, route, {name: ["a" * 2000] * 4}).status_code == 200
    assert post(fleet, route, {name: [" a\u00ad" + "b" * 124] * 64}).status_code == 200
    for heavy in (["a" * 2000] * 4 + ["b"], ["a" * 126] * 64):
        problem = check_problem(post(fleet, route, {name: heavy}), 413, "too_much_text", name)
        assert f"{sum(map(len, heavy)):,} characters" in problem.detail
        assert "at most 8,000" in problem.detail


@pytest.mark.parametrize("route", LISTS)
def test_a_body_may_begin_with_a_byte_order_mark(fleet: LocalFleet, route: str) -> None:
    body = b"\xef\xbb\xbf" + json.dumps({LISTS[route]: ["question number 7"]}).encode()
    assert b"question number 7" in post(fleet, route, body).data


@pytest.mark.parametrize("asked", ["question\x01number 7", "ques\u00adtion\u00a0number\u200b 7"])
def test_a_question_is_cleaned_as_documents_are(fleet: LocalFleet, asked: str) -> None:
    [query] = read(post(fleet, "/v1/search", {"queries": [asked]}), Search).queries
    assert query.results[0].text == "question number 7"
    assert query.results[0].score == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("text", ["a\x00b", "\x1b[31m", "\ufeffa", "🙂", "\u202ea", "\uffff"])
@pytest.mark.parametrize("route", LISTS)
def test_strange_characters_are_only_characters(fleet: LocalFleet, route: str, text: str) -> None:
    answer = post(fleet, route, {LISTS[route]: [text]})
    assert answer.status_code == 200, answer.data


# --- k and probe -----------------------------------------------------------------------------

BAD_NUMBERS = [0, -1, "x", "10", 1.5, -1.0, True, False, None, [], {}, 10**30, -(10**30), 1e300]


@pytest.mark.parametrize("k", [*BAD_NUMBERS, 101, 2**31, 2**63, 2**64], ids=repr)
def test_a_wrong_k_is_named(fleet: LocalFleet, k: Any) -> None:
    check_problem(post(fleet, "/v1/search", {"queries": ["a"], "k": k}), 400, "bad_k", "k")


@pytest.mark.parametrize("probe", [*BAD_NUMBERS, "AUTO", "", "some", 10_000, 2**63], ids=repr)
def test_a_wrong_probe_is_named(fleet: LocalFleet, probe: Any) -> None:
    body = {"queries": ["a"], "probe": probe}
    check_problem(post(fleet, "/v1/search", body), 400, "bad_probe", "probe")


@pytest.mark.parametrize("probe", ["auto", "all", 1, 2, 3, 4, 9999, 3.0], ids=repr)
@pytest.mark.parametrize("k", [1, 100, 2.0])
def test_every_k_and_probe_that_is_right(fleet: LocalFleet, k: int, probe: Any) -> None:
    body = {"queries": ["question number 1"], "k": k, "probe": probe}
    [query] = read(post(fleet, "/v1/search", body), Search).queries
    assert 1 <= len(query.results) <= k
    if isinstance(probe, int):
        assert len(query.shards_asked) == min(probe, 3)


@pytest.mark.parametrize("name", ["K", "query", "q", "", "\x00", "é", "instances"], ids=repr)
def test_an_unknown_member_is_named(fleet: LocalFleet, name: str) -> None:
    answer = post(fleet, "/v1/search", {"queries": ["a"], name: 1})
    check_problem(answer, 400, "unknown_field", name)


@pytest.mark.parametrize(("name", "shown"), [("\ud800x", "\\ud800x"), ("a" * 5000, "a" * 100)])
def test_a_name_that_cannot_be_repeated_is_shown_as_it_can(
    fleet: LocalFleet, name: str, shown: str
) -> None:
    answer = post(fleet, "/v1/search", {"queries": ["a"], name: 1})
    check_problem(answer, 400, "unknown_field", shown)


# --- the query string ------------------------------------------------------------------------

URLS = [
    ("", "missing_field", "q"),
    ("q=", "empty_query", "q"),
    ("q=%20%09", "empty_query", "q"),
    ("q=" + "a" * 2001, "too_long", "q"),
    ("q=%ff", "invalid_utf8", "q"),
    ("q=%ed%a0%80", "invalid_utf8", "q"),
    ("q=a&k=0", "bad_k", "k"),
    ("q=a&k=101", "bad_k", "k"),
    ("q=a&k=-1", "bad_k", "k"),
    ("q=a&k=x", "bad_k", "k"),
    ("q=a&k=1.5", "bad_k", "k"),
    ("q=a&k=true", "bad_k", "k"),
    ("q=a&k=", "bad_k", "k"),
    ("q=a&k=" + "9" * 5000, "bad_k", "k"),
    ("q=a&probe=0", "bad_probe", "probe"),
    ("q=a&probe=-1", "bad_probe", "probe"),
    ("q=a&probe=some", "bad_probe", "probe"),
    ("q=a&probe=", "bad_probe", "probe"),
    ("q=a&x=1", "unknown_field", "x"),
    ("q=a&cache=no", "bad_cache", "cache"),
    ("q=a&rescore=2", "bad_rescore", "rescore"),
    ("q=a&min_confidence=x", "bad_min_confidence", "min_confidence"),
    ("q=a&min_confidence=1.01", "bad_min_confidence", "min_confidence"),
    ("q=a&min_confidence=", "bad_min_confidence", "min_confidence"),
    ("q=a&min_confidence=.5", "bad_min_confidence", "min_confidence"),
    ("q=a&min_confidence=0x1", "bad_min_confidence", "min_confidence"),
    ("q=a&rescore=", "bad_rescore", "rescore"),
    ("queries=a", "unknown_field", "queries"),
    ("%C3%A9=%ff", "invalid_utf8", "é"),
    ("q=a&%00=1", "unknown_field", "\x00"),
]


@pytest.mark.parametrize(("query", "code", "field"), URLS, ids=lambda value: repr(value)[:30])
def test_a_wrong_query_string_is_named(
    fleet: LocalFleet, query: str, code: str, field: str
) -> None:
    check_problem(fleet.gateway.get(f"/v1/search?{query}"), 400, code, field)


# --- methods, paths, sizes -------------------------------------------------------------------

ROUTES = {
    ("gateway", "/process"): {"POST"},
    ("gateway", "/v1/search"): {"GET", "HEAD", "POST"},
    ("gateway", "/v1/filters"): {"GET", "HEAD"},
    ("gateway", "/openapi.json"): {"GET", "HEAD"},
    ("shard", "/search"): {"POST"},
    ("shard", "/withdrawn"): {"GET", "HEAD", "POST"},
    ("encoder", "/encode"): {"POST"},
    **{
        (service, path): {"GET", "HEAD"}
        for service in ("gateway", "shard", "encoder")
        for path in ("/livez", "/readyz", "/health", "/metrics")
    },
}


def test_every_route_is_listed_here(fleet: LocalFleet) -> None:
    for service, client in fleet.clients.items():
        listed = {path: ways for (name, path), ways in ROUTES.items() if name == service}
        assert client.service.routes() == listed


@pytest.mark.parametrize(("service", "path"), ROUTES)
@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]
)
def test_a_wrong_method_names_the_right_ones(
    fleet: LocalFleet, service: str, path: str, method: str
) -> None:
    allowed = ROUTES[service, path]
    answer = fleet.clients[service].open(path, method=method, data=b"{}")
    if method in allowed:
        assert answer.status_code < 500
        return
    check_problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize("service", ["gateway", "shard", "encoder"])
@pytest.mark.parametrize(
    "path",
    ["/", "/nothing", "/process/", "/v1", "/v1/search/", "/health/x", "/static/x", "/%00", "/%ff",
     "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/" + "a" * 5000, "/{{7*7}}"],
    ids=lambda value: value[:20],
)  # fmt: skip
def test_an_unknown_path(fleet: LocalFleet, service: str, path: str) -> None:
    for method in ("GET", "POST"):
        check_problem(fleet.clients[service].open(path, method=method), 404, "not_found")


REST = (1 << 18) + MAX_FILTER  # words and a filter


@pytest.mark.parametrize(
    ("service", "path", "limit"),
    [
        ("gateway", "/process", 1 << 20),
        ("gateway", "/v1/search", 1 << 20),
        ("encoder", "/encode", 8 << 20),
        ("shard", "/search?generation={generation}&k=1&terms={terms}", 1024 * 8 * 4 + REST),
    ],
)
def test_a_body_too_large(fleet: LocalFleet, service: str, path: str, limit: int) -> None:
    url = path.format(generation=fleet.generation.manifest.id, terms=REST)
    headers = {"Askfleet-Model": fleet.generation.manifest.model.fingerprint}
    client = fleet.clients[service]
    answer = client.post(url, data=b"x" * (limit + 1), headers=headers)
    check_problem(answer, 413, "request_entity_too_large")
    assert client.post(url, data=b"x" * limit, headers=headers).status_code != 413


def test_nothing_is_searched_for_who_has_gone(fleet: LocalFleet) -> None:
    url = f"/search?generation={fleet.generation.manifest.id}&k=1"
    headers = {"Askfleet-Model": fleet.generation.manifest.model.fingerprint}
    body = vectors_to_bytes(fleet.generation.vectors[:1])
    given: Any = {"data": body, "headers": headers}
    assert fleet.clients["shard"].post(url, **given).status_code == 200
    environ = {CALLER_GONE: lambda: True}
    gone: Any = fleet.clients["shard"].post(url, **given, environ_base=environ)
    assert (gone.status_code, gone.json["code"]) == (408, "caller_gone")


# --- content types ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type", [FORM, "application/json", "text/plain", "multipart/form-data", "x", "", None]
)
@pytest.mark.parametrize("route", LISTS)
def test_the_content_type_does_not_matter(
    fleet: LocalFleet, route: str, content_type: str | None
) -> None:
    body = {LISTS[route]: ["question number 9"]}
    answer = post(fleet, route, body, content_type=content_type)
    assert answer.status_code == 200, answer.data
    assert b"question number 9" in answer.data


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "x"])
@pytest.mark.parametrize("route", LISTS)
def test_a_compressed_body_is_refused(fleet: LocalFleet, route: str, encoding: str) -> None:
    answer = post(fleet, route, {LISTS[route]: ["a"]}, headers={"Content-Encoding": encoding})
    check_problem(answer, 415, "unsupported_encoding")
    plain = post(fleet, route, {LISTS[route]: ["a"]}, headers={"Content-Encoding": "Identity"})
    assert plain.status_code == 200


# --- the inner services ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "status", "code", "field"),
    [
        ("", 409, "generation_not_loaded", "generation"),
        ("generation=", 409, "generation_not_loaded", "generation"),
        ("generation=%ff%00", 409, "generation_not_loaded", "generation"),
        ("generation={generation}", 400, "bad_k", "k"),
        ("generation={generation}&k=0", 400, "bad_k", "k"),
        ("generation={generation}&k=-1", 400, "bad_k", "k"),
        ("generation={generation}&k=1001", 400, "bad_k", "k"),
        ("generation={generation}&k=x", 400, "bad_k", "k"),
        ("generation={generation}&k=1.5", 400, "bad_k", "k"),
        ("generation={generation}&k=%00", 400, "bad_k", "k"),
        ("generation={generation}&k=99999999999999999999999", 400, "bad_k", "k"),
    ],
)
def test_a_shard_names_the_parameter(
    fleet: LocalFleet, query: str, status: int, code: str, field: str
) -> None:
    answer = fleet.shards[0].post(
        "/search?" + query.format(generation=fleet.generation.manifest.id),
        data=fleet.generation.vectors[:1].tobytes(),
        headers={"Askfleet-Model": fleet.generation.manifest.model.fingerprint},
    )
    check_problem(answer, status, code, field)


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"\0" * 31, b"\0" * 33, b"\xff" * 32, b"\0\0\x80\x7f" * 8, b"\0\0\xc0\x7f" * 8],
    ids=repr,
)
def test_a_shard_refuses_what_is_no_vector(fleet: LocalFleet, body: bytes) -> None:
    answer = fleet.shards[0].post(
        f"/search?generation={fleet.generation.manifest.id}&k=1",
        data=body,
        headers={"Askfleet-Model": fleet.generation.manifest.model.fingerprint},
    )
    check_problem(answer, 400, "bad_vectors")


@pytest.mark.parametrize("model", [None, "", "0" * 16, "é"])
def test_a_shard_refuses_another_models_vector(fleet: LocalFleet, model: str | None) -> None:
    answer = fleet.shards[0].post(
        f"/search?generation={fleet.generation.manifest.id}&k=1",
        data=fleet.generation.vectors[:1].tobytes(),
        headers={} if model is None else {"Askfleet-Model": model},
    )
    check_problem(answer, 409, "model_mismatch")


@pytest.mark.parametrize(
    ("body", "code"), [pair for pair in NO_OBJECT if pair[1] == "invalid_utf8"], ids=repr
)
def test_an_encoder_refuses_what_is_no_utf8(fleet: LocalFleet, body: bytes, code: str) -> None:
    assert check_problem(fleet.encoder.post("/encode", data=body), 400).code in (
        code,
        "bad_body",
        "invalid_json",
    )


@pytest.mark.parametrize("body", [pair[0] for pair in NO_OBJECT], ids=lambda v: repr(v)[:30])
def test_an_encoder_refuses_what_is_no_object(fleet: LocalFleet, body: bytes) -> None:
    check_problem(fleet.encoder.post("/encode", data=body), 400)


@pytest.mark.parametrize("model", ["", "x", "%ff", "%00", "0" * 16])
def test_an_encoder_names_the_model_it_has_not(fleet: LocalFleet, model: str) -> None:
    answer = fleet.encoder.post(f"/encode?model={model}", data=b'{"texts":["a"]}')
    check_problem(answer, 409, "model_not_loaded", "model")

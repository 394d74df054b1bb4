"""What callers may send to the gateway: the edges of every limit."""

import time
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ProblemError
from app.gateway.body import SearchRequest, parse_process, parse_query_string, parse_search
from app.generation.text import clean


def search(**members: Any) -> SearchRequest:
    return parse_search(msgspec.json.encode({"queries": ["a"], **members}))


def fault_of(parse: Any, value: Any) -> tuple[int, str, str | None]:
    with pytest.raises(ProblemError) as caught:
        parse(value)
    return caught.value.status, caught.value.code, caught.value.field


def test_the_defaults() -> None:
    assert parse_search(b'{"queries":["a"]}') == SearchRequest(("a",), 10, "auto")
    assert parse_process(b'{"instances":["a","b"]}') == SearchRequest(("a", "b"), 1, "auto")
    assert parse_query_string(b"q=a") == SearchRequest(("a",), 10, "auto")


def test_the_edges_of_every_limit() -> None:
    assert search(k=1).k == 1
    assert search(k=100).k == 100
    assert search(probe=1).probe == 1
    assert search(probe="all").probe == "all"
    assert len(search(queries=["a"] * 64).queries) == 64
    assert len(search(queries=["é" * 2000]).queries[0]) == 2000
    assert search(queries=["  a\n"]).queries == ("a",)
    assert fault_of(parse_search, b'{"queries":["' + b"a" * 2001 + b'"]}') == (
        400,
        "too_long",
        "queries[0]",
    )


@pytest.mark.parametrize("k", ["1", "100", "010"])
def test_numbers_in_a_url(k: str) -> None:
    assert parse_query_string(f"q=a&k={k}".encode()).k == int(k)
    assert parse_query_string(f"q=a&probe={k}".encode()).probe == int(k)


@pytest.mark.parametrize(
    "k", ["", "0", "101", "-1", "x", "1.5", "1e1", "+1", " 1", "\uff11", "9" * 5000, "true"]
)
def test_what_is_no_k_in_a_url(k: str) -> None:
    query = urlencode({"q": "a", "k": k}).encode()
    assert fault_of(parse_query_string, query) == (400, "bad_k", "k")


@given(st.binary(max_size=60))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    for parse in (parse_process, parse_search):
        with pytest.raises(ProblemError) as caught:
            parse(body)
        assert 400 <= caught.value.status < 500


@pytest.mark.parametrize("text", ["é", "a+b c", "\ufffd", "100%", "%ff", "&=?#", "日本"])
def test_a_question_in_a_url_is_what_was_asked(text: str) -> None:
    assert parse_query_string(urlencode({"q": text}).encode()).queries == (text,)
    if not set(text) & set("+%&#="):
        assert parse_query_string(b"q=" + text.encode()).queries == (text,)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=50))
def test_any_question_in_a_url(text: str) -> None:
    query = urlencode({"q": f".{text}.", "k": 1}).encode()
    assert parse_query_string(query).queries == (clean(f".{text}."),)


def test_length_is_measured_when_the_text_is_clean() -> None:
    decomposed = "e\u0323\u0302" * 1500
    assert search(queries=[decomposed]).queries == ("\u1ec7" * 1500,)
    assert search(queries=[f" {'a ' * 10}{'  ' * 3000}b"]).queries == ("a " * 10 + "b",)
    long = msgspec.json.encode({"queries": ["e\u0301" * 2001]})
    assert fault_of(parse_search, long) == (400, "too_long", "queries[0]")


def test_a_megabyte_of_marks_takes_no_time() -> None:
    """To put combining marks in order takes the square of their number."""
    begun = time.process_time()
    assert search(queries=["a" + "\u0301\u0323" * 250_000]).queries == (
        "\u1ea1" + "\u0323" * 14 + "\u0301" * 15,
    )
    assert time.process_time() - begun < 2


def test_of_a_repeated_parameter_the_first_counts() -> None:
    assert parse_query_string(b"q=a&q=b&k=2&k=3") == SearchRequest(("a",), 2)


def test_what_is_no_utf8_in_a_url_is_named() -> None:
    assert fault_of(parse_query_string, b"q=%ff") == (400, "invalid_utf8", "q")
    assert fault_of(parse_query_string, b"q=a\xff") == (400, "invalid_utf8", "q")
    assert fault_of(parse_query_string, b"q=a&%ff=1") == (400, "invalid_utf8", None)

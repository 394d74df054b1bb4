"""The language of filters, and what a gateway and a shard make of one."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ProblemError
from app.generation.columns import Column, Columns
from app.generation.filtering import COUNTS, Filtering, Listed
from app.generation.filters import MAX_FILTER, conditions, filter_text, stored
from app.generation.manifest_parts import FilterField, Filters
from app.generation.passing import Passing

FIELDS = (
    FilterField("set", "keyword"),
    FilterField("year", "number"),
    FilterField("open", "boolean"),
)


def fault(wanted: Any) -> tuple[int, str, str | None]:
    with pytest.raises(ProblemError) as caught:
        conditions(filter_text(wanted), FIELDS)
    return caught.value.status, caught.value.code, caught.value.field


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"colour": "red"}, "filter.colour"),
        ({"set": 7}, "filter.set"),
        ({"set": None}, "filter.set"),
        ({"set": []}, "filter.set"),
        ({"set": ["a", 1]}, "filter.set"),
        ({"set": {"gte": "a"}}, "filter.set"),
        ({"year": "2020"}, "filter.year"),
        ({"year": True}, "filter.year"),
        ({"year": {}}, "filter.year"),
        ({"year": {"from": 1}}, "filter.year"),
        ({"year": {"gte": "2020"}}, "filter.year.gte"),
        ({"year": {"gte": None}}, "filter.year.gte"),
        ({"year": 2**60}, "filter.year"),
        ({"open": 1}, "filter.open"),
        ({"open": "true"}, "filter.open"),
        ({"open": {"gte": 0}}, "filter.open"),
        ({"x" * 200: 1}, "filter." + "x" * 100),
    ],
)
def test_what_is_wrong_is_named(wanted: Any, field: str) -> None:
    assert fault(wanted) == (400, "bad_filter", field)


def test_an_unknown_field_is_told_what_there_is() -> None:
    with pytest.raises(ProblemError, match="it has set, year, open"):
        conditions('{"colour":"red"}', FIELDS)
    with pytest.raises(ProblemError, match="without --filterable"):
        conditions('{"colour":"red"}', ())


@pytest.mark.parametrize("wanted", [{"a": "x" * MAX_FILTER}, {"a": "\ud800"}])
def test_what_is_too_long_or_no_text_is_refused(wanted: Any) -> None:
    with pytest.raises(ProblemError) as caught:
        filter_text(wanted)
    assert (caught.value.status, caught.value.code) == (400, "bad_filter")


def test_too_many_values_are_refused() -> None:
    wanted = {"set": [str(n) for n in range(600)], "year": list(range(401))}
    assert fault(wanted) == (400, "bad_filter", "filter")


@pytest.mark.parametrize("text", ["", "[]", "7", "{", "null"])
def test_a_shard_refuses_what_is_no_filter(text: str) -> None:
    with pytest.raises(ProblemError, match="must be an object"):
        conditions(text, FIELDS)


def test_the_order_of_fields_does_not_matter() -> None:
    assert filter_text({"a": 1, "b": 2}) == filter_text({"b": 2, "a": 1})


def column(rows: list[list[Any]], kind: str) -> Column:
    values = [stored(one, kind) for row in rows for one in row]
    dtype = np.uint64 if kind == "keyword" else np.float64
    return Column(np.array(values, dtype), np.array([len(row) for row in rows], np.uint16))


ROWS: list[dict[str, list[Any]]] = [
    {"set": ["faq"], "year": [2019.5], "open": [True]},
    {"set": ["faq", "news"], "year": [2020], "open": [False]},
    {"set": [], "year": [], "open": []},
    {"set": ["blog"], "year": [1999, 2021], "open": [True]},
]


def passing(wanted: Any) -> list[int]:
    parts = [column([row[one.name] for row in ROWS], one.kind) for one in FIELDS]
    found = Columns(FIELDS, parts, len(ROWS)).passing(filter_text(wanted))
    rows = np.arange(len(ROWS))
    assert found.count == found.holds(rows).sum()
    return [row for row in rows.tolist() if found.holds(np.array([row]))[0]]


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ({"set": "faq"}, [0, 1]),
        ({"set": ["news", "blog"]}, [1, 3]),
        ({"set": "none such"}, []),
        ({"year": 2020}, [1]),
        ({"year": [2021, 2019.5]}, [0, 3]),
        ({"year": {"gte": 2020}}, [1, 3]),
        ({"year": {"gt": 2020}}, [3]),
        ({"year": {"lte": 2019.5}}, [0, 3]),
        ({"year": {"lt": 2019.5}}, [3]),
        ({"year": {"gte": 2000, "lt": 2020}}, [0]),
        ({"year": {"gte": 3000, "lt": 2020}}, []),
        ({"open": True}, [0, 3]),
        ({"open": [True, False]}, [0, 1, 3]),
        ({"open": True, "set": ["faq", "blog"], "year": {"gt": 2000}}, [0, 3]),
    ],
)
def test_which_rows_pass(wanted: Any, rows: list[int]) -> None:
    assert passing(wanted) == rows


def test_bits_of_any_number_of_rows() -> None:
    for count in (1, 7, 8, 9, 64, 65):
        mask = np.arange(count) % 3 == 0
        found = Passing(mask)
        assert found.holds(np.arange(count)).tolist() == mask.tolist()
        assert [found.selector.is_member(row) for row in range(count)] == mask.tolist()


@given(
    st.lists(st.floats(-10, 10), min_size=1, max_size=40),
    st.floats(-12, 12),
    st.floats(-12, 12),
    st.lists(st.floats(-10, 10), max_size=3),
)
def test_no_cluster_that_holds_a_number_is_left_out(
    numbers: list[float], low: float, high: float, more: list[float]
) -> None:
    """Bins hold what lies between their lowest and their highest."""
    distinct = sorted(set(numbers))
    bins = [distinct[at : at + 3] for at in range(0, len(distinct), 3)]
    lows, highs = tuple(own[0] for own in bins), tuple(own[-1] for own in bins)
    rows = [
        (0, next(b for b, own in enumerate(bins) if number in own), place % 4, 1)
        for place, number in enumerate(numbers)
    ]
    filtering = Filtering(
        Filters((FilterField("n", "number"),), 0.1, 0.9, ()),
        np.full(4, len(numbers), np.uint32),
        np.array(rows, COUNTS),
        [Listed(len(numbers), len(distinct), (), lows, highs)],
    )

    def clusters(wanted: Any) -> set[int]:
        found = filtering.passed(json.dumps(wanted)).documents
        assert (found >= 0).all()
        assert (found <= len(numbers)).all()
        return set(np.flatnonzero(found).tolist())

    inside = {place % 4 for place, one in enumerate(numbers) if low <= one <= high}
    assert inside <= clusters({"n": {"gte": low, "lte": high}})
    for wanted in (numbers[:1] + more, numbers[:1]):
        having = {place % 4 for place, one in enumerate(numbers) if one in wanted}
        assert having <= clusters({"n": wanted})
    if low > high or high < lows[0] or low > highs[-1]:
        assert not inside


def test_gt_and_lt_leave_out_the_bound_itself() -> None:
    [condition] = conditions('{"year":{"gt":2020,"lt":2021}}', FIELDS)
    assert condition.low == math.nextafter(2020, math.inf)
    assert condition.high == math.nextafter(2021, -math.inf)


def test_what_is_nested_too_deep_is_refused_not_an_error() -> None:
    with pytest.raises(ProblemError, match="must be an object"):
        conditions("[" * 8000, (FilterField("set", "keyword"),))


def test_half_a_surrogate_pair_is_no_error() -> None:
    assert conditions('{"set":"\\ud800"}', (FilterField("set", "keyword"),))

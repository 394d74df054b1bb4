"""What several processes say, put together."""

import json
from typing import Any

import pytest

from app.service import merged


def body(status: str = "ok", current: str = "g1", **more: Any) -> dict[str, Any]:
    told = {"generations": {"current": current, "previous": None}, "loaded": ["g1", "g2"]}
    return {"status": status, "uptime_seconds": 1.0, **told, **more}


def health(own: dict[str, Any], *others: dict[str, Any] | None) -> dict[str, Any]:
    told = {n: other and json.dumps(other).encode() for n, other in enumerate(others, 1)}
    return merged.health(own, told, 0)


@pytest.mark.parametrize(
    ("own", "other", "wanted"),
    [
        ("ok", "ok", "ok"),
        ("ok", "draining", "draining"),
        ("broken", "ok", "broken"),
        ("starting", "broken", "broken"),
        ("draining", "starting", "starting"),
    ],
)
def test_the_worst_status_counts(own: str, other: str, wanted: str) -> None:
    assert health(body(own), body(other))["status"] == wanted


def test_a_process_that_says_nothing_is_the_worst() -> None:
    told = health(body("broken"), body(), None)
    assert told["status"] == "silent"
    assert [one["status"] for one in told["processes"]] == ["broken", "ok", "silent"]
    assert "generations" not in told["processes"][2]


def test_a_flip_is_not_confirmed_while_one_process_lags() -> None:
    for own, other in (("g2", "g1"), ("g1", "g2")):
        told = health(body(current=own), body(current=other))
        assert told["status"] == "differs"
        assert [one["generations"]["current"] for one in told["processes"]] == [own, other]
    assert health(body(current="g2"), body(current="g2"))["status"] == "ok"


def test_what_is_loaded_is_what_all_have_loaded_and_a_fault_is_told() -> None:
    told = health(body(), body("broken", loaded=["g2", "g3"], fault="damaged"))
    assert told["loaded"] == ["g2"]
    assert told["fault"] == "damaged"


def test_metrics_of_a_process_that_says_nothing_are_left_out() -> None:
    text = b'# HELP a Some.\n# TYPE a counter\na_total{x="1"} 2.0\n'
    told = merged.metrics({0: text, 1: None, 2: text}).decode()
    assert 'a_total{process="0",x="1"} 2.0' in told
    assert 'a_total{process="2",x="1"} 2.0' in told
    assert 'process="1"' not in told
    assert told.count("# TYPE a_total counter") == 1


def test_processes_that_do_not_answer_by_the_same_list_say_so() -> None:
    one = {"status": "ok", "withdrawn": {"documents": 2, "digest": "two"}}
    other = {"status": "ok", "withdrawn": {"documents": 1, "digest": "one"}}
    told = merged.health(one, {1: json.dumps(other).encode()}, 0)
    assert told["withdrawn"] == {"documents": 1, "digest": "differs"}
    assert told["status"] == "ok", "a moment later they do; none is taken out for that"
    told = merged.health(one, {1: json.dumps(one).encode()}, 0)
    assert told["withdrawn"] == one["withdrawn"]

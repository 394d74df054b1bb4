"""A gateway that serves worse is told from one that does not, by what gateways count."""

import itertools
import math
import random

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from app.gateway.metrics import SCORES
from app.service.metrics import BUCKETS
from index_builder.watch.counts import Counts, buckets, less, read, together
from index_builder.watch.verdict import LEAST, fisher, rank_sum, worse

NOTHING: tuple[Counts, Counts] = ({}, {})
DRAW = random.Random(7)  # noqa: S311  # no secret


def gateway(
    questions: int = 2000,
    *,
    failed: float = 0.0,
    partial: float = 0.0,
    unanswered: float = 0.1,
    answerless: float = 0.4,
    ms: float = 10.0,
    score: float = 0.75,
) -> Counts:
    """What a gateway counts of so many questions, drawn with these chances."""
    registry = CollectorRegistry()
    requests = Counter("askfleet_requests", "x", ["endpoint", "status"], registry=registry)
    asked = Counter("askfleet_gateway_questions", "x", ["source"], registry=registry)
    chances = {"partial": partial, "unanswered": unanswered, "answerless": answerless}
    kinds = {name: Counter(f"askfleet_gateway_{name}", "x", registry=registry) for name in chances}
    seconds = Histogram("askfleet_gateway_search_seconds", "x", buckets=BUCKETS, registry=registry)
    scores = Histogram("askfleet_gateway_score", "x", buckets=SCORES, registry=registry)
    requests.labels("/metrics", "500").inc(3)  # no user's
    requests.labels("/v1/search", "400").inc(5)  # the caller's own
    for _ in range(questions):
        bad = DRAW.random() < failed
        requests.labels("/process", "503" if bad else "200").inc()
        if bad:
            continue
        asked.labels(DRAW.choice(["memory", "fleet"])).inc()
        for name, chance in chances.items():
            kinds[name].inc(DRAW.random() < chance)
        seconds.observe(DRAW.lognormvariate(math.log(ms / 1e3), 0.5))
        scores.observe(min(DRAW.gauss(score, 0.12), 1.0))
    return read(generate_latest(registry).decode())


def test_what_gateways_count_is_read() -> None:
    counts = gateway(300, failed=0.1)
    assert counts["requests"] == 305
    assert counts["failed"] + counts["questions"] == 300
    assert counts["seconds count"] == sum(buckets(counts, "seconds")) == counts["questions"]
    assert len(buckets(counts, "score")) == len(SCORES) + 1
    doubled = together([counts, counts])
    assert less(doubled, counts) == counts
    assert less(counts, doubled) == counts  # it was restarted meanwhile


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"failed": 0.03}, "requests that failed (5xx)"),
        ({"partial": 0.03}, "without a shard"),
        ({"unanswered": 0.2}, "without a match"),
        ({"answerless": 1.0}, "has no answer: 2,000 of 2,000 (100.0 %)"),
        ({"ms": 25.0}, "time to answer"),
        ({"score": 0.65}, "score of the first result"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_worse_is_told(change: dict[str, float], says: str) -> None:
    (reason,) = worse(gateway(**change), gateway(), NOTHING, 12)  # type: ignore[arg-type]  # named
    assert says in reason
    assert "p = " in reason


def test_what_is_better_or_no_worse_is_not() -> None:
    better = gateway(unanswered=0.0, answerless=0.0, ms=5.0, score=0.85)
    assert worse(better, gateway(), NOTHING, 12) == []


def test_two_hundred_sound_watches_raise_no_alarm() -> None:
    alarms = [
        reason for _ in range(200) for reason in worse(gateway(400), gateway(400), NOTHING, 1)
    ]
    assert alarms == []


def test_a_host_that_was_slower_before_is_not_held_against_it() -> None:
    slow, quick = gateway(ms=25.0), gateway()
    assert worse(slow, quick, (slow, quick), 1) == []
    assert worse(slow, quick, (quick, slow), 1)


def test_too_little_is_not_judged() -> None:
    few = LEAST - 1
    assert worse(gateway(few, answerless=1.0, ms=90), gateway(few), NOTHING, 1) == []
    assert worse({}, {}, NOTHING, 1) == []


@pytest.mark.parametrize(
    ("table", "wanted"),
    [((3, 4, 1, 4), 17 / 70), ((4, 4, 0, 4), 1 / 70), ((0, 5, 3, 5), 1.0), ((0, 9, 0, 9), 1.0)],
)
def test_fishers_test(table: tuple[int, int, int, int], wanted: float) -> None:
    """The first is the lady tasting tea (Fisher, "The Design of Experiments", 1935)."""
    assert fisher(*table) == pytest.approx(wanted)


def test_the_rank_sum_is_that_of_single_values() -> None:
    high, low = [0, 2, 5, 9, 4], [6, 7, 3, 2, 0]
    _, above = rank_sum(high, low)
    values = [
        [place for place, count in enumerate(side) for _ in range(count)] for side in (high, low)
    ]
    pairs = list(itertools.product(*values))
    assert above == pytest.approx(sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs))
    assert rank_sum(high, low)[0] < 1e-3 < rank_sum(low, high)[0]
    assert rank_sum([5, 0], [5, 0]) == (1.0, 0.5)
    assert rank_sum([0, 0], [5, 0]) == (1.0, 0.5)

"""Figures of a preview, against numbers worked out by hand."""

import time

import pytest
from preview_pairs import pair, side

from app.wire.preview import Pair, Side
from index_builder.preview.changes import Both, ranked
from index_builder.preview.figures import SHOWN, Figures, measured
from index_builder.preview.groups import OTHERS, VALUES
from index_builder.preview.wanted import Wanted


def figures(*pairs: Pair, **more: object) -> Figures:
    wanted = Wanted([one.question for one in pairs], **more)  # type: ignore[arg-type]  # a test's own
    return measured(wanted, pairs, ranked(pairs), "A", "B")


def test_what_changes() -> None:
    found = figures(pair("abcd", "abcd"), pair("abcd", "bacd"), pair("ab", "cd"))
    assert found.changed == pytest.approx(2 / 3)
    assert found.overlap == pytest.approx(2 / 3)
    assert (found.overlaps[0], found.overlaps[10]) == (1, 2)
    assert found.most_changed[0].overlap == 0
    assert found.most_changed[-1].rbo == pytest.approx(1)


def test_who_loses_an_answer_comes_first() -> None:
    lost = Pair("lost", side("ab"), side("ab", match=None))
    found = figures(pair("ab", "cd"), lost, Pair("won", side("ab", match=None), side("ab")))
    assert (found.newly_unanswered, found.newly_answered) == (1, 1)
    assert found.unanswered == Both(1 / 3, 1 / 3)
    assert found.most_changed[0].pair is lost


def test_scores_latency_and_partial_of_each() -> None:
    found = figures(
        Pair("a", side("ab", score=0.5), side("ab", score=0.7, ms=10.0, partial=True)),
        Pair("b", side("ab", score=0.5), side("ab", score=0.7, ms=20.0)),
    )
    assert found.score == Both(0.5, 0.7)
    assert found.drift is not None
    assert found.drift.mean == pytest.approx(0.2)
    assert sum(found.scores[0]) == sum(found.scores[1]) == 2
    assert found.partial == Both(0, 0.5)
    assert found.latency is not None
    assert found.latency.p50 == Both(5, 15)


def test_drift_has_deciles() -> None:
    pairs = [
        Pair(str(n), side("a", score=0.5, confidence=0.5), side("a", score=0.4, confidence=n / 100))
        for n in range(101)
    ]
    found = figures(*pairs)
    assert found.drift is not None
    assert found.confidence_drift is not None
    assert found.drift.deciles == pytest.approx([-0.1] * 9)
    assert found.confidence_drift.mean == pytest.approx(0)
    assert found.confidence_drift.deciles == pytest.approx([n / 10 - 0.5 for n in range(1, 10)])


def test_confidence_only_where_both_have_it() -> None:
    with_it = {"confidence": 0.5}
    assert figures(pair("a", "a", **with_it)).confidence is None
    both = Pair("a", side("a", **with_it), side("a", confidence=0.75))
    assert figures(both).confidence == Both(0.5, 0.75)
    nothing = Pair("none", side("a", **with_it), side("", partial=True))
    assert figures(both, nothing).confidence == Both(0.5, 0.75)


def test_who_was_not_answered_is_counted_and_not_compared() -> None:
    found = figures(pair("a", "a"), Pair("b", side("a"), Side(error="503 encoder_unavailable")))
    assert (found.questions, found.compared, found.changed) == (2, 1, 0)
    assert found.errors == ({}, {"503 encoder_unavailable": 1})


def test_nobody_answered_and_nothing_was_asked() -> None:
    found = figures(Pair("b", Side(error="ConnectionError"), side("a")))
    assert (found.compared, found.latency, found.most_changed) == (0, None, ())
    assert figures().questions == 0


def test_labels_have_an_interval_of_the_difference() -> None:
    relevant = {f"q{n}": frozenset("a") for n in range(40)}
    pairs = [pair("ab", "ba" if n < 10 else "ab", f"q{n}") for n in range(40)]
    found = figures(*pairs, pair("x", "y", "no label"), relevant=relevant).labelled
    assert found is not None
    hit, recall, ndcg = found.measures
    assert (found.questions, hit.before, hit.after) == (40, 1, 0.75)
    assert -0.45 < hit.low < -0.25 < hit.high < -0.05
    assert (recall.before, recall.after, recall.low, recall.high) == (1, 1, 0, 0)
    assert ndcg.after < 1


def test_groups_by_the_value_of_the_first_result_before() -> None:
    def of(value: object, after: str = "ab") -> Pair:
        one = pair("ab", after)
        one.before.results[0].metadata = {"set": value}
        return one

    found = figures(of("x"), of("x", "ba"), of(["y", "x"]), of(None), fields=("set",)).groups
    assert [(one.value, one.questions) for one in found] == [("x", 3), ("y", 1)]
    assert found[0].changed == pytest.approx(1 / 3)
    assert (found[0].labelled, found[1].partial) == (None, Both(0, 0))
    assert found[0].latency is not None
    assert found[0].latency.p50 == Both(5, 5)
    many = figures(*(of(f"v{n:02}") for n in range(VALUES + 3)), fields=("set",)).groups
    assert (many[-1].value, many[-1].questions) == (OTHERS, 3)


def test_labels_by_the_value_of_a_field() -> None:
    right, wrong = pair("ab", "ab", "q1"), pair("ab", "ba", "q2")
    wrong.before.results[0].metadata = {"set": "y"}
    relevant = {"q1": frozenset("a"), "q2": frozenset("a")}
    found = figures(right, wrong, fields=("set",), relevant=relevant).groups
    hits = {one.value: one.labelled.measures[0].after for one in found if one.labelled}
    assert hits == {"x": 1, "y": 0}


def test_five_thousand_questions_are_a_matter_of_seconds() -> None:
    begun = time.process_time()
    found = figures(*(pair("abcdefghij", "abcdefghji", f"q{n}") for n in range(5000)))
    assert time.process_time() - begun < 5
    assert len(found.most_changed) == SHOWN

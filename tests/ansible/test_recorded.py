"""What users asked is fetched, kept for its owner alone, and shown by likeness."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_sources import ROOT, Run

BOOK = """
- hosts: gateways
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: activation, tasks_from: recorded}
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: activation, tasks_from: unanswered}
"""
EVIL = "{{ 7*7 }} $(id)"

pytestmark = pytest.mark.slow  # a play each


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """Two gateways on this machine, with an `askfleet` that tells what lies in a file for each."""
    program = tmp_path / "current/bin/askfleet"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/$1-${{2##*/}}.json\n")
    program.chmod(0o755)
    hosts: dict[str, object] = {}
    for host in ("a", "b"):
        service = {"name": "gateway", "kind": "gateway", "url": f"http://{host}"}
        hosts[host] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "askfleet_fleet": {"hosts": {host: {"services": [service]}}},
        }
        texts = ["pay later", EVIL, "pay later"]
        samples = {
            "asked": {"seen": 40, "texts": []},
            "unanswered": {"seen": 3, "texts": texts},
        }
        (tmp_path / f"recorded-{host}.json").write_text(json.dumps(samples))
    groups = {name: {"hosts": {}} for name in ("encoders", "shards", "edge")}
    inventory = {"all": {"children": {"gateways": {"hosts": hosts}, **groups}}}
    (tmp_path / "hosts.json").write_text(json.dumps(inventory))
    (tmp_path / "book.yml").write_text(BOOK)
    return tmp_path / "book.yml"


def run(play: Run, book: Path) -> tuple[int, str]:
    place = book.parent
    more = {
        "askfleet_install_dir": str(place),
        "askfleet_build_dir": str(place / "var"),
        "askfleet_source_dir": str(ROOT),
    }
    settings = {"ANSIBLE_ROLES_PATH": str(ROOT / "roles")}
    done = play("-i", place / "hosts.json", "-e", json.dumps(more), book, **settings)
    return done.returncode, done.stdout


def test_all_gateways_together_and_no_text_is_a_template(play: Run, book: Path) -> None:
    status, told = run(play, book)
    assert status == 0, told
    assert "Users have asked 80 questions" in " ".join(told.split())
    assert "6 questions without an answer, 2 kinds among 6 kept" in told
    assert "66.7 %        4  pay later" in told
    assert EVIL in told
    kept = book.parent / "var/questions/unanswered.txt"
    assert sorted(kept.read_text().splitlines()) == sorted(["pay later", EVIL, "pay later"] * 2)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700


def test_a_gateway_that_records_nothing_is_named(play: Run, book: Path) -> None:
    (book.parent / "recorded-a.json").unlink()
    status, told = run(play, book)
    assert status == 0, told
    assert "a does not tell what users asked" in told
    assert "3 questions without an answer" in told
    (book.parent / "recorded-b.json").unlink()
    status, told = run(play, book)
    assert status == 2
    assert "Set askfleet_record_questions" in told

"""What unanswered.yml asks of gateways, tells, writes and keeps to itself."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from ansible_sources import ROOT, Run

pytestmark = pytest.mark.slow

WORD = "Quetzalcoatlus"
HOSTS = """
edge: {hosts: {edge-1: {ansible_host: 192.0.2.10}}}
gateways:
  hosts:
    gateway-1: {ansible_host: 192.0.2.11}
    gateway-2: {ansible_host: 192.0.2.12}
  vars: {ansible_connection: local, ansible_become: false}
encoders: {hosts: {encoder-1: {ansible_host: 192.0.2.21}}}
shards: {hosts: {shard-a: {ansible_host: 192.0.2.31, shards: [0, 1, 2, 3]}}}
all:
  vars:
    askfleet_build_dir: DIR/var
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
"""
# The plays of unanswered.yml, and what a preview asks; each host here has an askfleet of its own.
BOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - import_role: {name: askfleet, tasks_from: describe}
- hosts: gateways
  gather_facts: false
  tasks:
    - import_role: {name: activation, tasks_from: recorded}
      vars: {askfleet_install_dir: "DIR/{{ inventory_hostname }}"}
    - import_role: {name: activation, tasks_from: recorded_keep}
- hosts: localhost
  gather_facts: false
  tasks:
    - import_role: {name: activation, tasks_from: unanswered}
"""
NOTHING = {"seen": 0, "texts": [], "nearest": []}


def fleet(directory: Path, **told: object) -> list[str | Path]:
    """Arguments of a play whose gateways have a command that prints this, or fails."""
    for host in ("gateway-1", "gateway-2"):
        command = directory / host / "current/bin/askfleet"
        command.parent.mkdir(parents=True)
        answer = command.with_name("told.json")
        if host in told:
            answer.write_text(json.dumps({"processes": told[host]}))
        command.write_text(f'#!/bin/sh\n[ "$1" = recorded ] && exec cat {answer}\nexit 9\n')
        command.chmod(0o755)
    hosts, book = directory / "hosts.yml", directory / "book.yml"
    hosts.write_text(HOSTS.replace("DIR", str(directory)))
    book.write_text(BOOK.replace("DIR", str(directory)))
    return ["-i", hosts, "-e", f"askfleet_source_dir={ROOT}", book]


def process(asked: int, unanswered: dict[str, object]) -> dict[str, object]:
    return {"asked": {"seen": asked, "texts": [f"{WORD} asked"]}, "unanswered": unanswered}


def test_groups_of_all_processes_are_told_and_written_for_their_owner(
    play: Run, tmp_path: Path
) -> None:
    busy = {"seen": 300, "texts": ["pay", "pay", "PAY late"], "nearest": ["paying", "paying", ""]}
    new = {"seen": 2, "texts": ["leave", "pay"], "nearest": ["", "paying"]}
    hosts = fleet(
        tmp_path,
        **{
            "gateway-1": [process(900, busy), process(10, NOTHING)],
            "gateway-2": [process(90, new)],
        },
    )
    file = tmp_path / "groups.json"
    done = play(*hosts, "-vvv", "-e", f"unanswered_file={file}")
    assert done.returncode == 0, done.stdout + done.stderr
    told = " ".join(done.stdout.split())
    assert "Of 1,000 questions since the gateways were started" in told
    assert "302 questions without an answer, 3 kinds among 5 kept" in told
    assert "66.6% 201 pay" in told
    assert "nearest known: paying" in told
    assert WORD not in done.stdout + done.stderr  # what had an answer is not shown
    assert [one["text"] for one in json.loads(file.read_bytes())] == ["pay", "PAY late", "leave"]
    kept = [file, *(tmp_path / "var/questions").iterdir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    assert stat.S_IMODE((tmp_path / "var/questions").stat().st_mode) == 0o700
    asked = (tmp_path / "var/questions/asked-gateway-1.txt").read_text()  # for a preview
    assert asked == f"{WORD} asked\n" * 2


def test_a_gateway_that_tells_nothing_is_named_and_the_others_count(
    play: Run, tmp_path: Path
) -> None:
    hosts = fleet(tmp_path, **{"gateway-2": [process(7, NOTHING)]})
    done = play(*hosts)
    assert done.returncode == 0, done.stdout + done.stderr
    told = " ".join(done.stdout.split())
    assert "gateway-1 does not tell what users asked" in told
    assert "Of 7 questions" in told
    assert "It takes an askfleet_min_confidence" in told


def test_where_nothing_is_recorded_it_says_what_to_set(play: Run, tmp_path: Path) -> None:
    done = play(*fleet(tmp_path))
    assert done.returncode == 2
    assert "Set askfleet_record_questions" in " ".join(done.stdout.split())

"""site.yml refuses to take away a last replica, as Ansible says it: one line, no host touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from ansible_sources import ROOT, Run
from fleet_looks import GROUPS, M1, A, B, fleet_of, looks

BOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: activation, tasks_from: keep}
"""


@pytest.mark.slow
def test_the_refusal_names_shard_and_fix(play: Run, tmp_path: Path) -> None:
    seen = looks((B, A), (M1,))
    fleet = fleet_of(GROUPS, {"shard-a": [1], "shard-b": [0, 1]})
    seen["shard-b"]["health"]["shard-0"] = {"status": "silent"}
    inventory = {
        group: {"hosts": {host: {"activation_replicas": {"look": seen[host]}} for host in hosts}}
        for group, hosts in GROUPS.items()
    }
    inventory["shards"]["hosts"]["shard-c"] = {"activation_replicas": {"unreachable": True}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    (tmp_path / "book.yml").write_text(BOOK)
    given = json.dumps({"askfleet_fleet": fleet})
    done = play("-i", tmp_path / "hosts.yml", "-e", given, tmp_path / "book.yml")
    said = " ".join(done.stdout.split())
    assert done.returncode == 2, done.stdout + done.stderr
    assert "No host has been touched." in said
    assert "shard 0: the inventory takes it from shard-a, and none of shard-b serves" in said
    assert f"update_index.yml -e generation={B}" in said


def test_it_comes_before_any_task_that_changes_a_host() -> None:
    """site.yml tries to write, looks, judges, and only then builds and installs."""
    plays = yaml.safe_load((ROOT / "playbooks/site.yml").read_text())
    tasks = [
        [task["ansible.builtin.import_role"]["tasks_from"] for task in one.get("tasks", ())]
        for one in plays[:5]
    ]
    assert tasks == [["validate"], ["room"], ["replicas"], ["step"], ["keep"]]

"""The tasks around a rollback, as Ansible runs them: what a new host is given, who is behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_sources import Run
from fleet_looks import FLEET, GROUPS, M1, MEMORY, A, B, files, look, looks, record

BOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact:
        generation_record: "{{ told }}"
    - ansible.builtin.include_role: {name: generation, tasks_from: TASKS}
      vars: {generation_dir: "HOME/generations", generation_models_dir: "HOME/models"}
    - ansible.builtin.copy:
        dest: HOME/record.json
        content: "{{ generation_record | to_json }}"
        mode: "0644"
"""


class Controller:
    """A controller that has looked at every host."""

    def __init__(self, home: Path, play: Run) -> None:
        self.home = home
        self._play = play
        self.output = ""

    def seal(self, path: str, **more: Any) -> None:
        """Put a sealed directory where the controller keeps what it made."""
        place = self.home / path
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps({"files": files({"x": 1}, A), **more}))

    def run(self, tasks: str, seen: dict[str, Any]) -> dict[str, Any]:
        """Run tasks of the role generation; returns the record that they leave."""
        inventory = {
            group: {"hosts": {host: {"activation_look": {"look": seen[host]}} for host in hosts}}
            for group, hosts in GROUPS.items()
            if group != "edge"
        }
        (self.home / "hosts.yml").write_text(yaml.safe_dump(inventory))
        book = self.home / "book.yml"
        book.write_text(BOOK.replace("TASKS", tasks).replace("HOME", str(self.home)))
        given = json.dumps({"told": record(B), "askfleet_fleet": FLEET})
        done = self._play("-i", self.home / "hosts.yml", "-e", given, book)
        assert done.returncode == 0, done.stdout + done.stderr
        self.output = " ".join(done.stdout.split())
        found: dict[str, Any] = json.loads((self.home / "record.json").read_text())
        return found


@pytest.fixture
def controller(tmp_path: Path, play: Run) -> Controller:
    return Controller(tmp_path, play)


@pytest.mark.slow
def test_where_everybody_has_it_nothing_is_added(controller: Controller) -> None:
    assert "previous" not in controller.run("previous", looks((B, A), (M1,)))


@pytest.mark.slow
def test_a_new_host_is_given_what_the_controller_has(controller: Controller) -> None:
    controller.seal(
        f"generations/{A}/manifest.json", shards=[{"memory_bytes": one} for one in MEMORY]
    )
    controller.seal(f"models/{M1}/model.json")
    seen = {**looks((B, A), (M1,)), "shard-b": look("shard-b", B)}
    previous = controller.run("previous", seen)["previous"]
    assert (previous["generation"], previous["model"]) == (A, M1)
    assert previous["missing"] == ["shard-b"]
    assert previous["memory"] == MEMORY
    assert set(previous["files"]) == {"x", "manifest.json"}
    assert set(previous["model_files"]) == {"x", "model.json"}
    assert previous["source"] == f"{controller.home}/generations/{A}"
    assert f"will not have {A}" not in controller.output


@pytest.mark.slow
def test_what_the_controller_does_not_have_is_said(controller: Controller) -> None:
    seen = {**looks((B, A), (M1,)), "shard-b": look("shard-b", B)}
    previous = controller.run("previous", seen)["previous"]
    assert (previous["files"], previous["model_files"]) == ({}, {})
    assert f"shard-b will not have {A}" in controller.output


@pytest.mark.slow
def test_a_rollback_says_who_stays_behind(controller: Controller) -> None:
    seen = {**looks((B, A), (M1,)), "shard-b": look("shard-b", B)}
    told = controller.run("held", seen)
    assert told["generation"] == A
    assert f"shard-b: shard-1: it has not loaded {A}" in controller.output
    assert f"update_index.yml -e generation={A}" in controller.output

"""Every run that failed ends with a summary, whichever task it was that failed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from ansible_sources import ROOT, Run


def load() -> ModuleType:
    path = ROOT / "plugins/callback/ending.py"
    spec = importlib.util.spec_from_file_location("ending", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ending"] = module
    spec.loader.exec_module(module)
    return module


callback = load()
AGAIN = "next: remove the cause, then run the same command again."


def test_hosts_that_failed_alike_are_named_together() -> None:
    full = callback.Failure("Install the packages", ("No space left on device",))
    other = callback.Failure(
        "Begin", ("No service has been touched.", "a: it failed before this"), False
    )
    failures = {"a": full, "b": full, "localhost": other}
    assert callback.ending("site.yml", failures, ["c"], check=False) == [
        "site.yml failed.",
        "why: a, b: Install the packages: No space left on device",
        "why: Begin: a: it failed before this",
        "state: before that, tasks have changed c",
        AGAIN,
    ]


@pytest.mark.parametrize("count", [1, 7, 8, 50])
@pytest.mark.parametrize("width", [1, 5000])
def test_ten_lines_are_enough(count: int, width: int) -> None:
    texts = tuple(f"{n}\n{'x' * width}" for n in range(count))
    found = callback.ending("x.yml", {"a": callback.Failure("Do", texts)}, [], check=False)
    assert len(found) <= callback.LINES
    assert max(map(len, found)) <= 241
    assert not [line for line in found if "\n" in line]
    assert ("more, shown above" in " ".join(found)) == (count > 7)


def test_a_hint_takes_the_place_of_the_usual_one() -> None:
    failure = callback.Failure(
        "Compare", ("shard-a: it is drained", "next: remove its flag"), False
    )
    found = callback.ending("status.yml", {"localhost": failure}, [], check=False)
    assert found[1:] == [
        "why: Compare: shard-a: it is drained",
        "state: no task of this run has changed a host",
        "next: remove its flag",
    ]


def test_check_mode_has_changed_nothing() -> None:
    found = callback.ending("site.yml", {"a": callback.Failure("Do", ("no",))}, ["a"], check=True)
    assert "state: no task of this run has changed a host" in found


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({"msg": "no"}, ("no",)),
        ({"msg": ["no", "not at all"]}, ("no", "not at all")),
        (
            {"msg": "non-zero return code", "stderr": "a\nno room\n"},
            ("non-zero return code", "no room"),
        ),
        (
            {"msg": "All items", "results": [{"msg": "x"}, {"failed": True, "msg": "y"}]},
            ("y",),
        ),
        ({}, ()),
    ],
)
def test_messages_are_those_of_what_failed(
    result: dict[str, object], told: tuple[str, ...]
) -> None:
    assert callback.messages(result) == told


BOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Change something
      ansible.builtin.command: "true"
    - name: Fail and be rescued
      block:
        - name: Fail here
          ansible.builtin.fail: {msg: rescued}
      rescue:
        - name: Go on
          ansible.builtin.debug: {msg: went on}
    - name: Hand over
      ansible.builtin.set_stats: {data: {askfleet_summary: [Update failed., "next: mend it"]}}
      when: handed | bool
      run_once: true
    - name: Refuse it
      ansible.builtin.fail: {msg: ["No host has been touched.", "a: it is full"]}
      when: fails | bool and inventory_hostname == 'a'
"""


def ended(play: Run, tmp_path: Path, **settings: bool) -> subprocess.CompletedProcess[str]:
    book = tmp_path / "book.yml"
    book.write_text(BOOK)
    extra = [part for name, value in settings.items() for part in ("-e", f"{name}={value}")]
    python = f"ansible_python_interpreter={sys.executable}"
    return play("-i", "a,b,", "-c", "local", "-e", python, *extra, book)


@pytest.mark.slow
def test_the_last_that_a_failed_run_prints_is_its_summary(play: Run, tmp_path: Path) -> None:
    done = ended(play, tmp_path, fails=True, handed=False)
    assert done.returncode == 2
    assert done.stdout.partition("SUMMARY ")[2].splitlines()[1:] == [
        "book.yml failed.",
        "why: a: Refuse it: a: it is full",
        "state: before that, tasks have changed a, b",
        AGAIN,
    ]


@pytest.mark.slow
def test_a_playbook_that_knows_more_has_its_own(play: Run, tmp_path: Path) -> None:
    done = ended(play, tmp_path, fails=True, handed=True)
    assert done.stdout.partition("SUMMARY ")[2].splitlines()[1:] == [
        "Update failed.",
        "next: mend it",
    ]


@pytest.mark.slow
def test_a_run_that_succeeded_has_none(play: Run, tmp_path: Path) -> None:
    done = ended(play, tmp_path, fails=False, handed=False)
    assert done.returncode == 0, done.stdout
    assert "SUMMARY" not in done.stdout

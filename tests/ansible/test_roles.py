"""Every role has a typed door, and tasks say what they do."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_sources import ROOT

ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
BOOKS = sorted((ROOT / "playbooks").glob("*.yml"))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.exists() else None


def test_no_two_plugins_name_a_filter_alike() -> None:
    """Ansible would take one of them, and say nothing."""
    names: Counter[str] = Counter()
    for path in (ROOT / "plugins/filter").glob("*.py"):
        spec = importlib.util.spec_from_file_location(f"one_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        names.update(list(module.FilterModule().filters()))
    assert len(names) > 20
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_and_argument_specs_agree(role: Path) -> None:
    defaults = load(role / "defaults/main.yml") or {}
    specs = load(role / "meta/argument_specs.yml")["argument_specs"]
    for name, entry in specs.items():
        for option, spec in entry.get("options", {}).items():
            assert spec.get("description"), f"{name}: {option} has no description"
            assert spec.get("type"), f"{name}: {option} has no type"
            if "default" in spec:
                assert option in defaults, (
                    f"{name}: {option} has a default here, none in defaults/main.yml"
                )
                assert spec["default"] == defaults[option], f"{name}: {option}"
            else:
                assert option not in defaults, (
                    f"{name}: {option} has a default in defaults/main.yml only"
                )
    told = {option for entry in specs.values() for option in entry.get("options", {})}
    assert set(defaults) <= told


def doors(value: Any) -> Iterator[tuple[str, str]]:
    """Role and entry point of everything that imports or includes a role."""
    if isinstance(value, list):
        for member in value:
            yield from doors(member)
    elif isinstance(value, dict):
        if isinstance(value.get("role"), str):  # of a play, or of meta/main.yml
            yield value["role"], "main"
        for how in ("import_role", "include_role"):
            if named := value.get(f"ansible.builtin.{how}"):
                entries = [named.get("tasks_from", "main")]
                yield from ((named["name"], entry) for entry in entries)
        for member in value.values():
            yield from doors(member)


def test_every_door_that_is_used_is_typed() -> None:
    """Ansible validates what is called, and nothing where that has no spec."""
    files = [*BOOKS, *(path for role in ROLES for path in (role / "tasks").glob("*.yml"))]
    used = {door for path in files for door in doors(load(path))}
    # The stack's loop over two of them.
    used = {door for door in used if door[1] != "{{ item }}"}
    assert len(used) > 50
    typed = {
        (role.name, entry)
        for role in ROLES
        for entry in load(role / "meta/argument_specs.yml")["argument_specs"]
    }
    assert sorted(used - typed) == []


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_typed_door_opens(role: Path) -> None:
    specs = load(role / "meta/argument_specs.yml")["argument_specs"]
    doors_without_tasks = {"inventory"} if role.name == "askfleet" else set()  # the contract
    there = {path.stem for path in (role / "tasks").glob("*.yml")} | doors_without_tasks
    assert set(specs) <= there
    assert all(entry.get("short_description") for entry in specs.values())


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_public_variables_carry_the_name_of_their_role(role: Path) -> None:
    names = [*(load(role / "defaults/main.yml") or {}), *(load(role / "vars/main.yml") or {})]
    assert [n for n in names if not n.startswith((f"{role.name}_", f"__{role.name}_"))] == []


def task_names(items: Any) -> Iterator[str]:
    for item in items or []:
        if "name" in item:
            yield item["name"]
        for part in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks", "handlers"):
            yield from task_names(item.get(part))


def files_with_tasks() -> list[Path]:
    return [
        p for role in ROLES for d in ("tasks", "handlers") for p in sorted((role / d).glob("*.yml"))
    ] + BOOKS


@pytest.mark.parametrize("path", files_with_tasks(), ids=lambda path: str(path.relative_to(ROOT)))
def test_names_are_imperative(path: Path) -> None:
    for name in task_names(load(path)):
        first = name.split()[0].rstrip(",")
        assert first.isalpha(), name
        assert first[0].isupper(), name
        assert first == "Bring" or not first.endswith(("ing", "ed")), (
            f"{name}: say what to do, as a command"
        )


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_names_are_unique_in_a_role(role: Path) -> None:
    names = [
        n
        for d in ("tasks", "handlers")
        for p in (role / d).glob("*.yml")
        for n in task_names(load(p))
    ]
    assert [name for name, count in Counter(names).items() if count > 1] == []


@pytest.mark.parametrize(
    "name",
    ["site", "update_index", "rollback", "status", "prune", "certificates", "fetch_generation"],
)
def test_root_playbooks_only_import(name: str) -> None:
    plays = load(ROOT / f"{name}.yml")
    assert [p["ansible.builtin.import_playbook"] for p in plays] == [f"playbooks/{name}.yml"]


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from strings(member)


@pytest.mark.parametrize(
    "path",
    [*files_with_tasks(), *sorted((ROOT / "roles").glob("*/vars/*.yml"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_lines_are_joined_by_line_breaks(path: Path) -> None:
    """In a folded scalar, unlike in a quoted one, a backslash and an n stay what they are."""
    assert [text for text in strings(load(path)) if "join('\\n')" in text] == []

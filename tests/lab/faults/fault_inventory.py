"""The lab's inventory, changed: hosts get other shards, come, go, or have another name."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from lab_corpora import GENERATIONS
from lab_plays import REPO, Play, play

Groups = dict[str, dict[str, dict[str, Any] | None]]
"""Group -> host -> its variables."""


class Inventory:
    """A copy of inventory/lab with a change."""

    def __init__(self, directory: Path, change: Callable[[Groups], None], **fleet: Any) -> None:
        """Copy it into ``directory``, which must not be there; ``fleet`` are variables of all."""
        shutil.copytree(REPO / "inventory/lab", directory)
        file = directory / "hosts.yml"
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
        groups = {name: group["hosts"] for name, group in told["lab"]["children"].items()}
        change(groups)
        file.write_text(yaml.safe_dump(told), encoding="utf-8")
        every = directory / "group_vars/all/changed.yml"
        every.write_text(yaml.safe_dump(fleet), encoding="utf-8")
        self._options = ("-i", str(directory))

    def site(self, *more: str) -> Play:
        """Run site.yml."""
        return play("site.yml", *self._options, *more)

    def update(self, generation: str, *more: str) -> Play:
        """Run update_index.yml for a generation of the tests."""
        settings = (f"generation={generation}", f"generation_dir={GENERATIONS}", *more)
        told = (part for one in settings for part in ("-e", one))
        return play("update_index.yml", *self._options, *told)

    def rollback(self) -> Play:
        """Run rollback.yml."""
        return play("rollback.yml", *self._options)

    def status(self) -> Play:
        """Run status.yml."""
        return play("status.yml", *self._options)


def shards(**hosts: list[int]) -> Callable[[Groups], None]:
    """A change: hosts (`shard_a` for shard-a) get these shards; one with none is taken out."""

    def change(groups: Groups) -> None:
        for name, ids in hosts.items():
            host = name.replace("_", "-")
            if ids:
                groups["shards"].setdefault(host, {})["shards"] = ids
            else:
                del groups["shards"][host]

    return change


def members(**groups: str) -> Callable[[Groups], None]:
    """A change: each group gets one more host, of those that there are."""

    def change(found: Groups) -> None:
        for group, host in groups.items():
            found[group][host] = None

    return change


def renamed(old: str, new: str) -> Callable[[Groups], None]:
    """A change: a host has another name, and the same address."""

    def change(groups: Groups) -> None:
        for hosts in groups.values():
            if old in hosts:
                hosts[new] = hosts.pop(old)

    return change

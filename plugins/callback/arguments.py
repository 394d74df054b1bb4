"""Judge the command line before the first play, and before any host is touched."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from ansible import constants, context
from ansible.errors import ExitCode
from ansible.playbook import Playbook
from ansible.playbook.play import Play
from ansible.plugins.callback import CallbackBase
from ansible.vars.plugins import get_vars_from_inventory_sources

DOCUMENTATION = r"""
name: arguments
type: aggregate
short_description: Refuse extra variables that no task reads, and options that run a part of a play
description:
  - Ansible loads this plugin by itself, because a link to its directory lies beside the playbooks.
    So it also runs where ansible.cfg is not read, and where --limit or --tags leave no task to run.
  - The variables of each playbook are in C(playbooks/vars/arguments.yml).
author: askfleet
"""

REPOSITORY = Path(__file__).resolve().parents[2]
PLAYBOOKS = REPOSITORY / "playbooks"
COLLECTION = "ansible_collections.askfleet.fleet"
SPACES = """a value with a space in it is written -e '{"NAME": "a b"}'"""
# Roles that a playbook includes while it runs; imported ones are known from the start.
INCLUDED = {"stack": ("nginx", "services", "askfleet", "internal_tls")}


def unknown(
    given: Iterable[str], named: Iterable[str], options: Iterable[str], books: Iterable[str]
) -> list[str]:
    """Name every extra variable that nothing reads, each with the nearest known name.

    Args:
        given: names of the extra variables.
        named: names that the playbooks and the inventory know.
        options: names of the roles' options, which are suggested only where they are very near.
        books: names of the playbooks, for the message.

    Returns:
        One line for each unknown name.
    """
    names, more = sorted(set(named)), sorted(set(options))
    faults = []
    for name in sorted(given):
        if name in names or name in more or name.startswith("ansible_"):
            continue
        near = difflib.get_close_matches(name, names, n=1)
        near = near or difflib.get_close_matches(name, more, n=1, cutoff=0.8)
        hint = f"did you mean {near[0]}?" if near else "see docs/operations.md#extra-variables"
        faults.append(f"-e {name}: {' and '.join(books)} has no such variable; {hint}")
    return faults


def partial(options: Mapping[str, Any], books: Iterable[str]) -> list[str]:
    """Name every option that would leave out hosts or tasks.

    Args:
        options: Ansible's parsed command line.
        books: names of the playbooks, for the message.

    Returns:
        One line for each such option.
    """
    book = " and ".join(books)
    faults = []
    if options.get("subset"):
        faults.append(
            f"--limit: {book} judges every host together with the others, so it cannot run on a "
            "part of them; leave --limit out"
        )
    tags = [*(set(options.get("tags") or ()) - {"all"}), *(options.get("skip_tags") or ())]
    if tags:
        faults.append(
            f"--tags, --skip-tags: {', '.join(sorted(tags))}: {book} has no tags, and always runs "
            "as a whole; leave the option out"
        )
    faults += [
        f"--{name.replace('_', '-')}: {book} could skip the checks and the lock on which later "
        "tasks rely; leave the option out"
        for name in ("start_at_task", "step")
        if options.get(name)
    ]
    return faults


def relative(given: Mapping[str, Any], specs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Name every directory of a role that is given as a relative path.

    Args:
        given: the extra variables.
        specs: the roles' options by name; those of type `path` are looked at.

    Returns:
        One line for each, with the path to write instead.
    """
    return [
        f"-e {name}={value}: not an absolute path; write {name}={Path.cwd() / value}"
        for name, value in sorted(given.items())
        if specs.get(name, {}).get("type") == "path"
        and isinstance(value, str)
        and not value.startswith(("/", "~", "{"))
    ]


def elsewhere() -> list[str]:
    """Say that the plugins of this run are those of another tree, where they are."""
    found = Path(import_module(COLLECTION).__path__[0]).resolve()
    if found == REPOSITORY:
        return []
    return [
        f"the playbook is of {REPOSITORY}, but Ansible finds the collection askfleet.fleet in "
        f"{found}: run `make setup` in {REPOSITORY}, and start the playbook there"
    ]


def role_options(role: Path) -> dict[str, dict[str, Any]]:
    """Return the public options of a role, by name."""
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = {}
    for entry in specs["argument_specs"].values():
        found.update(entry.get("options") or {})
    return found


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """What Ansible loads."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "askfleet.fleet.arguments"

    def v2_playbook_on_start(self, playbook: Playbook) -> None:
        """Refuse the command line, or let the play begin."""
        plays = playbook.get_plays()
        files = {Path(play.get_path().rpartition(":")[0]).resolve() for play in plays}
        ours = {file for file in files if file.parent == PLAYBOOKS}
        arguments = yaml.safe_load((PLAYBOOKS / "vars/arguments.yml").read_text(encoding="utf-8"))
        books = sorted({file.stem for file in ours} & set(arguments))
        if not books:
            return
        faults = [*elsewhere(), *partial(context.CLIARGS, [f"{book}.yml" for book in books])]
        if files == ours:  # another playbook's plays may read anything
            faults += self._names(plays, books, arguments)
        faults += self._configuration(plays)
        for fault in faults:
            self._display.error(fault)
        if faults:
            # Ansible makes a warning of a plugin's exceptions, and goes on.
            sys.exit(ExitCode.INVALID_CLI_OPTION)

    def _names(
        self, plays: list[Play], books: list[str], arguments: Mapping[str, Mapping[str, str]]
    ) -> list[str]:
        manager = plays[0].get_variable_manager()
        roles = {Path(path) for play in plays for path in play.role_cache}
        roles |= {PLAYBOOKS / "roles" / role for book in books for role in INCLUDED.get(book, ())}
        specs = {name: spec for role in roles for name, spec in role_options(role).items()}
        named = {name for book in books for name in arguments[book]}
        named |= {*role_options(PLAYBOOKS / "roles/askfleet"), *_inventory_names(manager)}
        given = dict(manager.extra_vars)
        files = [f"{book}.yml" for book in books]
        if (rest := given.pop("_raw_params", None)) is not None:  # what Ansible makes of it
            return [f"-e: {rest!r} stands alone; {SPACES}"]
        return [*unknown(given, named, specs, files), *relative(given, specs)]

    def _configuration(self, plays: list[Play]) -> list[str]:
        """Warn where ansible.cfg is not ours; a fault where there is no inventory either."""
        ours = REPOSITORY / "ansible.cfg"
        if constants.CONFIG_FILE and Path(constants.CONFIG_FILE).resolve() == ours:
            return []
        self._display.warning(
            f"Ansible did not read {ours}, so a host that hangs is noticed late. "
            f"Set ANSIBLE_CONFIG={ours}"
        )
        inventory = plays[0].get_variable_manager()._inventory  # it has no public name
        if inventory.hosts or all(play.hosts == ["localhost"] for play in plays):
            return []
        return [
            f"there is no inventory: Ansible did not read {ours}, which names the lab's; "
            f"give one, e.g. -i {REPOSITORY}/inventory/lab"
        ]


def _inventory_names(manager: Any) -> set[str]:
    """The names of all variables that the inventory sets, of groups and hosts."""
    inventory = manager._inventory
    entities = [*inventory.groups.values(), *inventory.hosts.values()]
    found = {name for entity in entities for name in entity.get_vars()}
    for stage in ("inventory", "task"):
        sources = get_vars_from_inventory_sources(
            manager._loader, inventory._sources, entities, stage
        )
        found.update(sources)
    return found

#!/usr/bin/python
"""Ansible module: the list of withdrawn documents on a host, and whether its services know it."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.askfleet.fleet.plugins.module_utils.host import (
    alone,
    health_of,
    note,
    unit_states,
)
from ansible_collections.askfleet.fleet.plugins.module_utils.withdrawn import (
    NOTHING,
    Withdrawn,
    parse,
    read,
)

DOCUMENTATION = r"""
module: withdrawn
short_description: Read the list of withdrawn documents, or add to it
description:
  - Another list is added by merging, so a host that knows more than the controller loses nothing,
    and two runs at the same time do no harm. The services of the host read the file by themselves;
    each of them is asked until it says that it answers by this list.
options:
  path:
    description: The list's file.
    type: path
    required: true
  add:
    description: The content of another list; empty for none.
    type: str
    default: ""
  ids:
    description: Documents to withdraw, by their ids.
    type: list
    elements: str
    default: []
  undo:
    description: Whether these are brought back instead.
    type: bool
    default: false
  services:
    description: The services of this host as the topology describes them.
    type: list
    elements: dict
    default: []
  seconds:
    description: How long the services may take.
    type: float
    default: 8
  run:
    description: Who does what and when, for the entries and the journal.
    type: dict
    default: {}
extends_documentation_fragment:
  - askfleet.fleet.directories.state
author: askfleet
"""

EXAMPLES = r"""
- name: Withdraw two documents
  askfleet.fleet.withdrawn:
    path: /srv/askfleet/withdrawn.jsonl
    ids: [q1, q2]
    run: {by: root@controller, since: "2026-11-26T12:00:00Z"}
    services: "{{ services }}"
    state_dir: /var/lib/askfleet
"""

RETURN = r"""
before:
  description: The content of the list as it was.
  type: str
  returned: success
list:
  description: The content of the list as it is now; in check mode, as it would be.
  type: str
  returned: success
digest:
  description: Names that content; empty where there is no entry.
  type: str
  returned: success
damage:
  description: Why the list could not be read; empty where it could.
  type: str
  returned: success
behind:
  description: By service, why it is not known to answer by the list; those that do are not named.
  type: dict
  returned: success
silent:
  description: Services that answer nobody now, and read the list when they start.
  type: list
  elements: str
  returned: success
found:
  description: The withdrawn documents that the shards of this host have, by their ids.
  type: list
  elements: str
  returned: success
unwritten:
  description: Why the journal misses this change; empty where it has it.
  type: str
  returned: success
"""

POLL = 0.1
# A last question may take so long, in seconds.
LEAST = 0.5
# What systemd says of a unit whose process may answer questions.
RUNNING = {"active", "reloading", "deactivating"}
SILENT = "it answers nobody; it reads the list before it does"
OLD = "its release knows no withdrawals: run site.yml, and restart what did not"


def write(path: Path, content: bytes) -> None:
    """Put the file in place, whole, readable for every service."""
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.chmod(0o644)
    new.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # else a power cut may bring the list before back
    finally:
        os.close(directory)


def behind(services: list[dict[str, Any]], digest: str, seconds: float) -> dict[str, str]:
    """Ask the services side by side until each answers by the list; of the others, why not.

    A service that runs and does not tell it in time is no `SILENT` one: it may answer by another.
    """
    ends = time.monotonic() + seconds
    with ThreadPoolExecutor(max(len(services), 1)) as pool:
        why = list(pool.map(lambda one: _asked(one, digest, ends), services))
    return {one["name"]: told for one, told in zip(services, why, strict=True) if told}


def _asked(service: dict[str, Any], digest: str, ends: float) -> str:
    while True:
        why = _behind(service, digest, max(ends - time.monotonic(), LEAST))
        if why in {"", SILENT} or time.monotonic() > ends:
            return why
        time.sleep(POLL)


def _behind(service: dict[str, Any], digest: str, timeout: float) -> str:
    body = health_of(service, timeout)
    told = body.get("withdrawn")
    if told is not None:
        return "" if told["digest"] == digest else "it does not answer by the list yet"
    if body["status"] in {"ok", "draining", "broken"}:
        return OLD
    unit = f"{service['unit']}.service"
    state = unit_states([unit])[unit].get("ActiveState", "")
    if body["status"] == "starting" or state not in RUNNING:
        return SILENT
    return (
        f"{unit} is {state}, and has not said that it answers by the list ({body['status']}): "
        "look at its journal, and restart it where it hangs"
    )


def found_by(service: dict[str, Any]) -> list[str]:
    """The withdrawn documents that a shard has; none where it does not tell."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with (
        suppress(OSError, ValueError),
        opener.open(f"{service['url']}/withdrawn?found=1", timeout=2.0) as answer,
    ):
        told = json.loads(answer.read())
        return [str(name) for name in told] if isinstance(told, list) else []
    return []


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "add": {"type": "str", "default": ""},
            "ids": {"type": "list", "elements": "str", "default": []},
            "undo": {"type": "bool", "default": False},
            "services": {"type": "list", "elements": "dict", "default": []},
            "seconds": {"type": "float", "default": 8},
            "state_dir": {"type": "path", "required": True},
            "run": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    params, check = module.params, module.check_mode
    path, state, run = Path(params["path"]), Path(params["state_dir"]), params["run"]
    if not path.parent.is_dir():  # site.yml has not been here: nothing to answer with
        module.exit_json(changed=False, damage="", **_told(NOTHING, NOTHING))
    adds = bool(params["add"] or params["ids"])
    with alone(state / "withdrawn.guard", check=check or not adds):
        mine, damage = _read(path)
        new = mine.merged(parse(params["add"].encode()) if params["add"] else NOTHING)
        if params["ids"]:
            new = new.changed(params["ids"], run["since"], run["by"], undo=params["undo"])
        if new.excess and new.digest != mine.digest:
            module.fail_json(msg=f"{path} stays as it is: {new.excess}")
        changed = new.digest != mine.digest or bool(damage and new.entries)
        told = _told(mine, new)
        if changed and not check:
            try:
                write(path, new.content)
            except OSError as error:
                module.fail_json(msg=f"{path} cannot be written: {error.strerror}")
            entry = {"kind": "withdrawn", "to": f"{len(new.ids)} documents", "result": "ok"}
            told["unwritten"] = note(state, {**run, **entry})
    if new.entries and not check:
        late = behind(params["services"], new.digest, params["seconds"])
        told["silent"] = [name for name, why in late.items() if why == SILENT]
        told["behind"] = {name: why for name, why in late.items() if why != SILENT}
        shards = (one for one in params["services"] if one["kind"] == "shard")
        told["found"] = sorted({name for one in shards for name in found_by(one)})
    module.exit_json(changed=changed, damage=damage, **told)


def _told(mine: Withdrawn, new: Withdrawn) -> dict[str, Any]:
    return {
        "before": mine.content.decode(),
        "list": new.content.decode(),
        "digest": new.digest,
        "behind": {},
        "silent": [],
        "found": [],
        "unwritten": "",
    }


def _read(path: Path) -> tuple[Withdrawn, str]:
    try:
        return read(path), ""
    except (OSError, ValueError) as error:
        return NOTHING, str(error)


if __name__ == "__main__":
    main()

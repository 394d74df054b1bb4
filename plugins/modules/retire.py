#!/usr/bin/python
"""Ansible module: stop and remove the services that left a host, and the data that was theirs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.askfleet.fleet.plugins.module_utils.host import (
    LINKS,
    host_lock,
    note,
    run,
    systemctl,
)
from ansible_collections.askfleet.fleet.plugins.module_utils.installed import ENDS, Files

DOCUMENTATION = r"""
module: retire
short_description: Remove the services that the inventory no longer gives to a host
description:
  - Stops and removes units that lie in C(unit_dir) and not in C(next) of C(state_dir), with their
    settings. Removes the shards of other hosts from every generation; where a kind of service has
    left, its links, and the generations or models that nothing else uses. It runs last, when nginx
    no longer asks these services.
options:
  services:
    description: The services that stay, as the topology describes them.
    type: list
    elements: dict
    required: true
  run:
    description: Who does what, for the journal.
    type: dict
    default: {}
extends_documentation_fragment:
  - askfleet.fleet.directories.data
  - askfleet.fleet.directories.install
  - askfleet.fleet.directories.units
  - askfleet.fleet.directories.state
author: askfleet
"""

EXAMPLES = r"""
- name: Remove what left this host
  askfleet.fleet.retire:
    services: "{{ askfleet_fleet.hosts[inventory_hostname].services }}"
    install_dir: /opt/askfleet
    config_dir: /etc/askfleet
    data_dir: /srv/askfleet
    state_dir: /var/lib/askfleet
"""

RETURN = r"""
removed:
  description: Units, directories and links that were (or, in check mode, would be) removed.
  type: list
  elements: str
  returned: success
"""

KINDS = ("encoder", "shard", "gateway")


def units_that_left(files: Files) -> list[Path]:
    """Return the unit files that nobody wants; sockets first, or they start services again."""
    return sorted(files.unwanted(), key=lambda path: (ENDS.index(path.suffix), path.name))


def data_that_left(data: Path, services: list[dict[str, Any]]) -> list[Path]:
    """Return the links, generations, models and shards that no service of this host uses.

    The links come first, so that none of them names what is gone.
    """
    parts = {service["part"] for service in services}
    kinds = {service["kind"] for service in services}
    links = [data / kind / name for kind in KINDS if kind not in kinds for name in LINKS]
    found = [link for link in links if link.is_symlink()]
    if kinds & {"shard", "gateway"}:
        shards = sorted(data.glob("generations/[!.]*/shard-*"))
        found += [path for path in shards if path.name not in parts]
    else:
        found += sorted(data.glob("generations/[!.]*"))
    if "encoder" not in kinds:
        found += sorted(data.glob("models/[!.]*"))
    return found


def remove(units: list[Path], data: list[Path], settings: Path, applied: Path) -> None:
    """Stop the services, then remove their files."""
    systemctl("disable", [path.name for path in units], "--now")
    for path in units:
        name = path.stem.removeprefix("askfleet-").replace("@", "-")
        (settings / f"{name}.env").unlink(missing_ok=True)
        (applied / name).unlink(missing_ok=True)
        path.unlink()
    if units:
        run(["systemctl", "daemon-reload"])
    for path in data:
        path.unlink() if path.is_symlink() else shutil.rmtree(path)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "list", "elements": "dict", "required": True},
            "install_dir": {"type": "path", "required": True},
            "config_dir": {"type": "path", "required": True},
            "data_dir": {"type": "path", "required": True},
            "unit_dir": {"type": "path", "default": "/etc/systemd/system"},
            "state_dir": {"type": "path", "required": True},
            "run": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    params = module.params
    state = Path(params["state_dir"])
    if not state.is_dir():
        module.exit_json(changed=False, removed=[])  # check mode, on a host that is still bare
    with host_lock(state, check=module.check_mode):
        files = Files({**params, "release": ""})
        units = units_that_left(files)
        data = data_that_left(Path(params["data_dir"]), params["services"])
        removed = [str(path) for path in [*units, *data]]
        if removed and not module.check_mode:
            remove(units, data, files.places["settings"], state / "applied")
            note(state, {**params["run"], "kind": "retire", "to": "nothing", "result": "ok"})
        module.exit_json(changed=bool(removed), removed=removed)


if __name__ == "__main__":
    main()

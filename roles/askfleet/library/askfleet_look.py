#!/usr/bin/python
"""Ansible module: everything about a host that an update or a status page needs, in one look."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ansible.module_utils.askfleet_host import health_of, notes, read_links, read_lock, unit_states
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: askfleet_look
short_description: Look at what a host of the fleet holds and serves
description:
  - Reads only. Links, releases, generations and models on the disk, units, /health of each service,
    free disk and memory, the update lock and the journal of changes.
options:
  services:
    description: The services of this host as the topology describes them.
    type: list
    elements: dict
    required: true
  data_dir:
    description: Directory of generations, models and links.
    type: path
    required: true
  install_dir:
    description: Directory of the releases.
    type: path
    required: true
  state_dir:
    description: Directory of the lock and the journal.
    type: path
    required: true
  parts:
    description:
      - Parts that this host is to hold, each with C(name), C(path) (its sealed directory here) and
        C(files) (relative name to C(size) and C(sha256)). C(whole) in the answer says which are.
    type: list
    elements: dict
    default: []
  history:
    description: How many of the journal's last entries to return.
    type: int
    default: 0
author: askfleet
"""

EXAMPLES = r"""
- name: Look at the host
  askfleet_look:
    services: "{{ askfleet_fleet.hosts[inventory_hostname].services }}"
    data_dir: /srv/askfleet
    install_dir: /opt/askfleet
    state_dir: /var/lib/askfleet
"""

RETURN = r"""
look:
  description: >-
    C(release), C(releases), C(links) (by kind), C(held) (generations and models: C(files) that are
    there with their sha256, C(memory) in bytes by shard, C(model), C(documents)), C(whole) (by
    part), C(health) and C(units) (by service), C(drained) (services whose drain flag is there),
    C(disk) and C(memory) in bytes, C(lock), C(journal).
  type: dict
  returned: success
"""

CHUNK = 1 << 20


def held(directory: Path, record: str) -> dict[str, dict]:
    """Return by sealed directory what is there: `files` of the right size, `memory` by shard."""
    found = {}
    for path in sorted(directory.glob(f"[!.]*/{record}")):
        # A damaged record: that directory holds nothing that counts.
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            found[path.parent.name] = _held(path)
    return found


def _held(record: Path) -> dict:
    told = json.loads(record.read_text(encoding="utf-8"))
    there = {}
    for name, info in told["files"].items():
        file = record.parent / name
        if file.is_file() and file.stat().st_size == info["size"]:
            there[name] = info["sha256"]
    return {
        "files": there,
        "memory": [shard["memory_bytes"] for shard in told.get("shards", [])],
        "model": told["model"]["fingerprint"] if "shards" in told else "",
        "documents": told.get("documents", 0),
    }


def is_whole(part: dict) -> bool:
    """Whether every file of the part is there with its size and sha256."""
    return all(_matches(Path(part["path"], name), info) for name, info in part["files"].items())


def _matches(path: Path, info: dict) -> bool:
    if not path.is_file() or path.stat().st_size != int(info["size"]):
        return False
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == info["sha256"]


def memory() -> dict[str, int]:
    """Return the host's memory in bytes: all of it, and what programs could still have."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    names = {"total": "MemTotal", "available": "MemAvailable"}
    return {key: kilobytes[name] * 1024 for key, name in names.items()}


def disk(directory: Path) -> dict[str, int]:
    """Return size and free space, in bytes, of the file system that holds a directory."""
    while not directory.exists():
        directory = directory.parent
    status = os.statvfs(directory)
    return {
        "total": status.f_blocks * status.f_frsize,
        "free": status.f_bavail * status.f_frsize,
    }


def look(params: dict) -> dict:
    """Return the whole picture of this host."""
    data, install, state = (Path(params[f"{name}_dir"]) for name in ("data", "install", "state"))
    services = params["services"]
    releases = install / "releases"
    with ThreadPoolExecutor(max(len(services), 1)) as pool:
        answers = list(pool.map(health_of, services))
    units = unit_states([f"{service['unit']}.service" for service in services])
    return {
        "release": (install / "current").resolve().name if (install / "current").exists() else "",
        "releases": sorted(p.name for p in releases.iterdir()) if releases.is_dir() else [],
        "links": {kind: read_links(data / kind) for kind in ("encoder", "shard", "gateway")},
        "held": {
            "generations": held(data / "generations", "manifest.json"),
            "models": held(data / "models", "model.json"),
        },
        "whole": {part["name"]: is_whole(part) for part in params["parts"]},
        "health": dict(zip([service["name"] for service in services], answers, strict=True)),
        "units": dict(zip([service["name"] for service in services], units.values(), strict=True)),
        "drained": [one["name"] for one in services if Path(one["drain_file"]).exists()],
        "disk": disk(data),
        "memory": memory(),
        "lock": read_lock(state / "update.lock"),
        "journal": notes(state, params["history"]),
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "list", "elements": "dict", "required": True},
            "data_dir": {"type": "path", "required": True},
            "install_dir": {"type": "path", "required": True},
            "state_dir": {"type": "path", "required": True},
            "parts": {"type": "list", "elements": "dict", "default": []},
            "history": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, look=look(module.params))


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: everything about a host that an update or a status page needs, in one look."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.askfleet.fleet.plugins.module_utils.host import (
    health_of,
    notes,
    read_links,
    read_lock,
    run,
    unit_states,
)
from ansible_collections.askfleet.fleet.plugins.module_utils.pools import ask_replicas
from ansible_collections.askfleet.fleet.plugins.module_utils.withdrawn import NAME as WITHDRAWN
from ansible_collections.askfleet.fleet.plugins.module_utils.withdrawn import read as read_withdrawn

DOCUMENTATION = r"""
module: look
short_description: Look at what a host of the fleet holds and serves
description:
  - Links, releases, generations and models on the disk, units, /health of each service, the
    replicas that nginx asks, free disk and memory, the update lock and the journal of changes.
    Nothing is left changed; in the directories of C(writes) a temporary file is made and removed.
options:
  services:
    description: The services of this host as the topology describes them.
    type: list
    elements: dict
    required: true
  parts:
    description:
      - Parts that this host is to hold, each with C(name), C(path) (its sealed directory here) and
        C(files) (relative name to C(size) and C(sha256)). C(whole) in the answer says which are.
    type: list
    elements: dict
    default: []
  nginx:
    description: nginx's configuration, whose upstreams say which replicas this host asks.
    type: path
    default: /etc/nginx/nginx.conf
  writes:
    description: >-
      Directories that the change is going to write to. In each, or in its nearest parent that is
      there, a file is made, written and removed.
    type: list
    elements: path
    default: []
  history:
    description: How many of the journal's last entries to return.
    type: int
    default: 0
  verify:
    description: Whether to check what is served against its manifest, checksums included.
    type: bool
    default: false
extends_documentation_fragment:
  - askfleet.fleet.directories.data
  - askfleet.fleet.directories.install
  - askfleet.fleet.directories.state
author: askfleet
"""

EXAMPLES = r"""
- name: Look at the host
  askfleet.fleet.look:
    services: "{{ askfleet_fleet.hosts[inventory_hostname].services }}"
    data_dir: /srv/askfleet
    install_dir: /opt/askfleet
    state_dir: /var/lib/askfleet
"""

RETURN = r"""
look:
  description: >-
    C(release), C(releases), C(links) (by kind), C(dangling) (links whose target is gone), C(held)
    (generations and models: C(files) that are there with their sha256, C(record), the sha256 of
    manifest.json or model.json, C(memory) in bytes by shard, C(model), C(documents)),
    C(unfinished) (directories that an interrupted run left), C(sound) (by part, the files that are
    as they should be), C(whole) (by part), C(health) and C(units) (by service), C(drained)
    (services whose drain flag is there), C(asked) (by service and address:port, for each replica
    that nginx asks, C(status) and C(loaded)), C(disk) and C(memory) in bytes, C(writes) (by
    directory C(error), the name of an errno, C(why) in words, C(free) in bytes, C(inodes), None
    where the file system does not count them), C(lock), C(journal), C(damage)
    (by service, what C(verify) found at current and previous), C(withdrawn) (the C(list) of
    withdrawn documents, or its C(damage)).
  type: dict
  returned: success
"""

CHUNK = 1 << 20
TRIED = 4096  # bytes of the file that is made to see whether a directory can be written to
KINDS = ("encoder", "shard", "gateway")


def held(directory: Path, record: str) -> dict[str, dict[str, Any]]:
    """Return by sealed directory what its record says, and its `files` of the right size."""
    found = {}
    for path in sorted(directory.glob(f"[!.]*/{record}")):
        # A damaged record: that directory holds nothing that counts.
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            found[path.parent.name] = _held(path)
    return found


def _held(record: Path) -> dict[str, Any]:
    content = record.read_bytes()
    told = json.loads(content)
    there = {}
    for name, info in told["files"].items():
        file = record.parent / name
        if file.is_file() and file.stat().st_size == info["size"]:
            there[name] = info["sha256"]
    return {
        "record": hashlib.sha256(content).hexdigest(),
        "files": there,
        "memory": [shard["memory_bytes"] for shard in told.get("shards", [])],
        "model": told["model"]["fingerprint"] if "shards" in told else "",
        "documents": told.get("documents", 0),
    }


def sound_files(part: dict[str, Any]) -> list[str]:
    """Return the files of a part that are there with their size and sha256."""
    return [n for n, info in part["files"].items() if _matches(Path(part["path"], n), info)]


def _matches(path: Path, info: dict[str, Any]) -> bool:
    if not path.is_file() or path.stat().st_size != int(info["size"]):
        return False
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == str(info["sha256"])


def damage(services: list[dict[str, Any]], data: Path, program: Path) -> dict[str, list[str]]:
    """Return by service what is wrong with the files that its links name."""
    found: dict[str, list[str]] = {}
    for service in services:
        checks = {
            "encoder": ["verify-model"],
            "shard": ["verify", f"--shard={service.get('shard')}"],
            "gateway": ["verify", "--routing"],
        }
        links = read_links(data / service["kind"])
        targets = dict.fromkeys(target for target in links.values() if target)
        answers = (run([str(program), *checks[service["kind"]], target]) for target in targets)
        found[service["name"]] = [
            (errors or output).strip().removeprefix("error: ")
            for status, output, errors in answers
            if status
        ]
    return found


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


def try_to_write(directory: Path) -> dict[str, Any]:
    """Make, write and remove a file in a directory; returns what went wrong and what is free."""
    while not directory.exists():
        directory = directory.parent
    error, why = "", ""
    try:
        # Has no name where the file system can do without: check mode leaves no trace.
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(bytes(TRIED))
            file.flush()
            os.fsync(file.fileno())
    except OSError as failed:
        error, why = errno.errorcode.get(failed.errno or 0, ""), str(failed.strerror)
    status = os.statvfs(directory)
    inodes = status.f_favail if status.f_files else None
    free = status.f_bavail * status.f_frsize
    return {"error": error, "why": why, "free": free, "inodes": inodes}


def withdrawn(data: Path) -> dict[str, str]:
    """Return the content of the list of withdrawn documents, or what is wrong with it."""
    try:
        return {"list": read_withdrawn(data / WITHDRAWN).content.decode(), "damage": ""}
    except (OSError, ValueError) as error:
        return {"list": "", "damage": str(error)}


def dangling(data: Path) -> list[str]:
    """Return the links, as C(kind/name), whose target is gone."""
    links = (data / kind / name for kind in KINDS for name in ("current", "previous"))
    return [str(one.relative_to(data)) for one in links if one.is_symlink() and not one.exists()]


def look(params: dict[str, Any]) -> dict[str, Any]:
    """Return the whole picture of this host."""
    data, install, state = (Path(params[f"{name}_dir"]) for name in ("data", "install", "state"))
    services = params["services"]
    releases = install / "releases"
    with ThreadPoolExecutor(max(len(services), 1)) as pool:
        answers = list(pool.map(health_of, services))
    units = unit_states([f"{service['unit']}.service" for service in services])
    sound = {part["name"]: sound_files(part) for part in params["parts"]}
    return {
        "release": (install / "current").resolve().name if (install / "current").exists() else "",
        "releases": sorted(p.name for p in releases.iterdir()) if releases.is_dir() else [],
        "links": {kind: read_links(data / kind) for kind in KINDS},
        "dangling": dangling(data),
        "held": {
            "generations": held(data / "generations", "manifest.json"),
            "models": held(data / "models", "model.json"),
        },
        "unfinished": sorted(path.name for path in data.glob("*/.staging-*")),
        "sound": sound,
        "whole": {p["name"]: len(sound[p["name"]]) == len(p["files"]) for p in params["parts"]},
        "health": dict(zip([service["name"] for service in services], answers, strict=True)),
        "units": dict(zip([service["name"] for service in services], units.values(), strict=True)),
        "drained": [one["name"] for one in services if Path(one["drain_file"]).exists()],
        "asked": ask_replicas(Path(params["nginx"])),
        "disk": disk(data),
        "memory": memory(),
        "writes": {name: try_to_write(Path(name)) for name in params["writes"]},
        "lock": read_lock(state / "update.lock"),
        "journal": notes(state, params["history"]),
        "withdrawn": withdrawn(data),
        "damage": damage(services, data, install / "current/bin/askfleet")
        if params["verify"]
        else {},
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
            "nginx": {"type": "path", "default": "/etc/nginx/nginx.conf"},
            "writes": {"type": "list", "elements": "path", "default": []},
            "history": {"type": "int", "default": 0},
            "verify": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, look=look(module.params))


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: make the hosts of a lab exactly those that are listed, all of them running."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.askfleet.fleet.plugins.module_utils.lab_cgroup import Cgroup
from ansible_collections.askfleet.fleet.plugins.module_utils.lab_daemon import (
    Daemon,
    same_namespace,
    stop,
)
from ansible_collections.askfleet.fleet.plugins.module_utils.lab_root import Root

DOCUMENTATION = r"""
module: lab_hosts
short_description: Make, start and remove the systemd-nspawn hosts of a lab
description:
  - Starts what is listed and does not run, restarts what runs with another configuration, makes
    anew what was made from another image, and removes what is not listed. An empty list takes all
    down.
options:
  lab:
    description: Name of the lab, which is the name of its network namespace.
    type: str
    required: true
  state_dir:
    description: Directory for the hosts' file systems.
    type: path
    required: true
  run_dir:
    description: Directory for pid files and console logs.
    type: path
    required: true
  image:
    description:
      - Directory with C(root) (base image) and C(apt) (package repository, /srv/apt in the hosts).
    type: path
  bridge:
    description: Bridge inside the namespace that the hosts are plugged into.
    type: str
    default: br0
  hosts:
    description: The hosts that there should be; C(files) are written into each.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Host name.
        type: str
        required: true
      files:
        description:
          - Path below the root, to content. A change restarts the host, /etc/hosts excepted.
        type: dict
        default: {}
  private_files:
    description: Paths among C(files) that only root may read.
    type: list
    elements: str
    default: []
  patience:
    description: Seconds that a host is given to power off.
    type: float
    default: 20
author: askfleet
"""

EXAMPLES = r"""
- name: Run one host
  askfleet.fleet.lab_hosts:
    lab: askfleet
    state_dir: /var/lib/askfleet-lab/askfleet
    run_dir: /run/askfleet-lab/askfleet
    image: /var/cache/askfleet-lab/0123456789abcdef
    hosts:
      - name: edge-1
        files: {etc/hostname: edge-1}
"""

RETURN = r"""
started:
  description: Hosts that were started.
  type: list
  elements: str
  returned: success
removed:
  description: Hosts that were removed, or made anew from another image.
  type: list
  elements: str
  returned: success
updated:
  description: Hosts whose files were written.
  type: list
  elements: str
  returned: success
"""

READ_LIVE = {"etc/hosts"}  # read at every look-up; every other file is read at boot


@dataclass(frozen=True)
class Host:
    """One host: its file system, its process, and the files that it should have."""

    name: str
    root: Root
    daemon: Daemon
    files: dict[str, str]
    private: set[str]

    def stale(self) -> set[str]:
        """Return the paths whose content is not what it should be."""
        return {path for path, text in self.files.items() if _read(self.root.path / path) != text}

    def write(self) -> None:
        """Write the files whose content is not what it should be."""
        for path in self.stale():
            target = self.root.path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
            target.chmod(0o600 if path in self.private else 0o644)
            target.write_text(self.files[path], encoding="utf-8")


class Fleet:
    """The hosts as they are, and the way to what they should be."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        params = module.params
        self._lab: str = params["lab"]
        self._namespace = Path("/run/netns", self._lab)
        self._image = Path(params["image"] or "/nonexistent")
        self._state = Path(params["state_dir"]) / "hosts"
        self._run = Path(params["run_dir"])
        self.hosts = [self._host(spec["name"], spec["files"] or {}) for spec in params["hosts"]]
        self.gone = [self._host(name, {}) for name in sorted(self._existing() - set(self._names()))]

    def converge(self) -> dict[str, list[str]]:
        """Make the hosts what they should be; return the names of those that were changed."""
        foreign = [host for host in self.hosts if host.root.is_foreign()]
        idle = [host for host in self.hosts if host in foreign or not self._runs_as_wanted(host)]
        stale = [host for host in self.hosts if host in foreign or host.stale()]
        changes = {
            "started": [host.name for host in idle],
            "removed": [host.name for host in self.gone + foreign],
            "updated": [host.name for host in stale],
        }
        if self._module.check_mode:
            return changes
        stop([host.daemon for host in self.gone + idle], patience=self._module.params["patience"])
        for host in self.gone + foreign:
            host.root.discard(self._module.run_command)
            host.daemon.log.unlink(missing_ok=True)
        for host in self.hosts:
            host.root.assemble(self._module.run_command)
            host.write()
        for host in idle:
            host.daemon.start(self._module.run_command, self._command(host))
        return changes

    def _names(self) -> list[str]:
        return [host.name for host in self.hosts]

    def _existing(self) -> set[str]:
        on_disk = {path.name for path in self._state.iterdir()} if self._state.is_dir() else set()
        running: set[str] = Cgroup(self._lab).children()
        return on_disk | (running - {"publish"})

    def _host(self, name: str, files: dict[str, str]) -> Host:
        return Host(
            name=name,
            root=Root(self._state / name, self._image / "root"),
            daemon=Daemon(self._lab, name, self._run),
            files=files,
            private=set(self._module.params["private_files"]),
        )

    def _runs_as_wanted(self, host: Host) -> bool:
        pid = host.daemon.pid()
        return (
            pid is not None
            and same_namespace(pid, self._namespace)
            and host.root.is_ready()
            and host.stale() <= READ_LIVE
        )

    def _command(self, host: Host) -> list[str]:
        return [
            "nsenter",
            f"--net={self._namespace}",
            "systemd-nspawn",
            "--quiet",
            "--boot",
            "--keep-unit",
            "--register=no",
            f"--machine={self._lab}-{host.name}",
            f"--hostname={host.name}",
            f"--directory={host.root.path}",
            f"--bind-ro={self._image / 'apt'}:/srv/apt",
            f"--network-bridge={self._module.params['bridge']}",
            "--console=read-only",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--suppress-sync=yes",
        ]


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "lab": {"type": "str", "required": True},
            "state_dir": {"type": "path", "required": True},
            "run_dir": {"type": "path", "required": True},
            "image": {"type": "path"},
            "bridge": {"type": "str", "default": "br0"},
            "hosts": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "files": {"type": "dict", "default": {}, "no_log": False},
                },
            },
            "private_files": {"type": "list", "elements": "str", "default": []},
            "patience": {"type": "float", "default": 20},
        },
        supports_check_mode=True,
    )
    try:
        changes = Fleet(module).converge()
    except (OSError, TimeoutError) as error:
        module.fail_json(msg=f"The hosts of lab {module.params['lab']}: {error}")
    module.exit_json(changed=any(changes.values()), **changes)


if __name__ == "__main__":
    main()

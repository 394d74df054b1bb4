#!/usr/bin/python
"""Ansible module: a lab's network namespace with one bridge in it, and no way out."""

from __future__ import annotations

import json
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: lab_network
short_description: Make or remove a lab's network namespace
description:
  - It has one bridge, to which the lab's hosts are joined, and no way out of this machine.
options:
  namespace:
    description: Name of the network namespace.
    type: str
    required: true
  bridge:
    description: Name of the bridge inside it.
    type: str
    default: br0
  addresses:
    description: Addresses of the bridge with their prefix lengths; needed for C(state=present).
    type: list
    elements: str
  state:
    description: Whether the namespace should exist.
    type: str
    choices: [present, absent]
    default: present
author: askfleet
"""

EXAMPLES = r"""
- name: Make the lab's network
  askfleet.fleet.lab_network:
    namespace: askfleet
    addresses: [198.18.0.1/24]
"""

RETURN = r"""
commands:
  description: The ip commands that were (or, in check mode, would be) run.
  type: list
  elements: str
  returned: always
"""


class Network:
    """The namespace as it is, and the steps to what it should be."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._name: str = module.params["namespace"]
        self._file = Path("/run/netns", self._name)
        self.commands: list[str] = []

    def present(self, bridge: str, addresses: list[str]) -> None:
        """Make the namespace, the bridge and its addresses, whichever is missing."""
        links: dict[str, dict[str, Any]] = {}
        if self._mounted():
            _, text, _ = self._module.run_command(
                ["ip", "-n", self._name, "-json", "address"], check_rc=True
            )
            links = {link["ifname"]: link for link in json.loads(text)}
        else:
            self._forget_stale_file()
            self._ip("netns", "add", self._name)
        if not _is_up(links.get("lo")):
            self._ip("-n", self._name, "link", "set", "lo", "up")
        if bridge not in links:
            self._ip("-n", self._name, "link", "add", bridge, "type", "bridge")
        if _addresses(links.get(bridge)) != {ip_interface(address) for address in addresses}:
            self._ip("-n", self._name, "address", "flush", "dev", bridge, "scope", "global")
            for address in addresses:
                self._ip("-n", self._name, "address", "add", address, "dev", bridge)
        if not _is_up(links.get(bridge)):
            self._ip("-n", self._name, "link", "set", bridge, "up")

    def absent(self) -> None:
        """Remove the namespace; the kernel removes the bridge with it."""
        if self._mounted():
            self._ip("netns", "delete", self._name)
        else:
            self._forget_stale_file()

    def _mounted(self) -> bool:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
        return any(line.split()[1] == str(self._file) for line in mounts)

    def _forget_stale_file(self) -> None:
        if self._file.exists():
            self.commands.append(f"rm {self._file}")
            if not self._module.check_mode:
                self._file.unlink()

    def _ip(self, *arguments: str) -> None:
        self.commands.append(" ".join(("ip", *arguments)))
        if not self._module.check_mode:
            self._module.run_command(["ip", *arguments], check_rc=True)


def _is_up(link: dict[str, Any] | None) -> bool:
    return link is not None and "UP" in link["flags"]


def _addresses(link: dict[str, Any] | None) -> set[IPv4Interface | IPv6Interface]:
    infos = link["addr_info"] if link else []
    texts = (f"{one['local']}/{one['prefixlen']}" for one in infos if one["scope"] == "global")
    return {ip_interface(text) for text in texts}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "namespace": {"type": "str", "required": True},
            "bridge": {"type": "str", "default": "br0"},
            "addresses": {"type": "list", "elements": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ["addresses"])],
        supports_check_mode=True,
    )
    network = Network(module)
    if module.params["state"] == "present":
        network.present(module.params["bridge"], module.params["addresses"])
    else:
        network.absent()
    module.exit_json(changed=bool(network.commands), commands=network.commands)


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: put a host's nftables rules in force, unless they would shut the operator out."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: firewall
short_description: Load the rules of table inet askfleet, now and at every boot
description:
  - The rules are judged by C(nft --check) and loaded in one step; other tables are left alone.
  - Refuses rules that would not let in the ssh connection over which it runs.
options:
  state:
    description: Whether the rules are to be in force.
    type: str
    choices: [present, absent]
    default: present
  path:
    description: The file of the rules.
    type: path
    required: true
  rules:
    description: The rules.
    type: str
    default: ""
  unit:
    description: The systemd unit nftables-askfleet.service, which loads them at boot.
    type: str
    required: true
  controllers:
    description: Addresses and networks that the rules let use ssh; empty means everybody.
    type: list
    elements: str
    default: []
author: askfleet
"""

EXAMPLES = r"""
- name: Load the rules
  askfleet.fleet.firewall:
    path: /etc/askfleet-firewall.nft
    rules: "{{ lookup('ansible.builtin.template', 'askfleet.nft.j2') }}"
    unit: "{{ lookup('ansible.builtin.template', 'nftables-askfleet.service.j2') }}"
    controllers: [192.0.2.5]
"""

RETURN = r"""
caller:
  description: The address from which ssh comes; empty where it is not ssh.
  type: str
  returned: success
"""

NFT = "/usr/sbin/nft"
UNIT = Path("/etc/systemd/system/nftables-askfleet.service")
TABLE = ["table", "inet", "askfleet"]
# Rules know a connection by packets seen since the first rule asked for its state. So the first
# time the kernel looks on for a moment before anything is refused: else the answers that are on
# their way would be strangers.
LOOK_ON = """
table inet askfleet {
    chain input {
        type filter hook input priority filter; policy accept;
        ct state established accept
    }
}
"""
LOOKS_ON = 2.0  # seconds


def caller(process: int, proc: Path = Path("/proc")) -> str:
    """Return where the ssh connection above a process comes from; "" where there is none.

    sudo does not hand the variable on, so the processes above it are looked at too.
    """
    while process > 1:
        try:
            environ = (proc / str(process) / "environ").read_bytes().split(b"\0")
            status = (proc / str(process) / "status").read_text(encoding="utf-8").splitlines()
        except OSError:
            return ""
        for variable in environ:
            if variable.startswith(b"SSH_CONNECTION="):
                return variable.decode().partition("=")[2].split()[0]
        process = next(int(line.split()[1]) for line in status if line.startswith("PPid:"))
    return ""


def lets_in(controllers: list[str], address: str) -> bool:
    """Whether an address may use ssh under the rules."""
    client = ipaddress.ip_address(address.partition("%")[0])
    client = getattr(client, "ipv4_mapped", None) or client
    return any(client in ipaddress.ip_network(one) for one in controllers)


class Firewall:
    """The rules as they are on this host, and the way to what they should be."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._wanted = {
            Path(module.params["path"]): module.params["rules"],
            UNIT: module.params["unit"],
        }

    def stale(self) -> bool:
        """Whether something is not as it should be."""
        found = {path: _read(path) for path in self._wanted}
        if self._module.params["state"] == "absent":
            return any(text is not None for text in found.values())
        return found != self._wanted or not self._in_force() or not self._enabled()

    def check(self) -> None:
        """Fail where nft does not accept the rules; a host may still lack nft in check mode."""
        if self._module.check_mode and not Path(NFT).exists():
            return
        self._run(NFT, "--check", "--file", "-", stdin=self._module.params["rules"])

    def load(self) -> None:
        """Write the files, load the rules, and see to it that the next boot does."""
        for path, text in self._wanted.items():
            new = path.with_name(f".{path.name}.new")
            new.write_text(text, encoding="utf-8")
            new.chmod(0o644)
            new.replace(path)
        if not self._in_force():
            self._run(NFT, "--file", "-", stdin=LOOK_ON)
            time.sleep(LOOKS_ON)
        self._run(NFT, "--file", self._module.params["path"])
        self._run("systemctl", "daemon-reload")
        self._run("systemctl", "enable", "--now", UNIT.name)

    def remove(self) -> None:
        """Let everybody in again, now and at every boot."""
        if UNIT.exists():
            self._run("systemctl", "disable", "--now", UNIT.name)
        if self._in_force():
            self._run(NFT, "delete", *TABLE)
        for path in self._wanted:
            path.unlink(missing_ok=True)
        self._run("systemctl", "daemon-reload")

    def _in_force(self) -> bool:
        return Path(NFT).exists() and _status(NFT, "list", *TABLE) == 0

    def _enabled(self) -> bool:
        return _status("systemctl", "--quiet", "is-enabled", UNIT.name) == 0

    def _run(self, *argv: str, stdin: str | None = None) -> None:
        status, output, errors = self._module.run_command([*argv], data=stdin)
        if status:
            self._module.fail_json(msg=f"{' '.join(argv)}: {(errors or output).strip()}")


def _status(*argv: str) -> int:
    return subprocess.run(argv, capture_output=True, check=False).returncode  # noqa: S603  # above


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "path": {"type": "path", "required": True},
            "rules": {"type": "str", "default": ""},
            "unit": {"type": "str", "required": True},
            "controllers": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    firewall, controllers = Firewall(module), module.params["controllers"]
    address = caller(os.getpid())
    if module.params["state"] == "present":
        if not controllers:
            module.warn("ssh is open to everybody: askfleet_controllers is empty")
        elif address and not lets_in(controllers, address):
            module.fail_json(
                msg=f"ssh comes from {address}, which is in none of askfleet_controllers "
                f"({', '.join(controllers)}): these rules would shut you out. Add it; "
                "nothing has been changed."
            )
        firewall.check()
    changed = firewall.stale()
    if changed and not module.check_mode:
        firewall.load() if module.params["state"] == "present" else firewall.remove()
    module.exit_json(changed=changed, caller=address)


if __name__ == "__main__":
    main()

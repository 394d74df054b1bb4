#!/usr/bin/python
"""Ansible module: have a program with worker processes take its new configuration."""

from __future__ import annotations

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.askfleet.fleet.plugins.module_utils.host import systemctl, unit_states
from ansible_collections.askfleet.fleet.plugins.module_utils.port import children, shared

DOCUMENTATION = r"""
module: reload
short_description: Reload a unit, and restart it where it did not take the new configuration
description:
  - A program such as nginx that cannot listen where its new configuration says keeps the old one,
    and says so in its log alone. It has taken the new one when it has a new worker process.
  - One reason is the program itself, which has the same port on all addresses. Then it is
    restarted. Where another program has one of the ports, it is left as it is, and the module
    fails.
  - A unit that does not run is started.
options:
  unit:
    description: The systemd unit.
    type: str
    required: true
  ports:
    description: The TCP ports of the new configuration.
    type: list
    elements: int
    required: true
  seconds:
    description: How long to wait for a new worker process.
    type: int
    default: 10
author: askfleet
"""

EXAMPLES = r"""
- name: Reload nginx
  askfleet.fleet.reload:
    unit: nginx.service
    ports: [80]
"""

RETURN = r"""
restarted:
  description: Whether a reload was not enough.
  type: bool
  returned: success
"""


def main_process(unit: str) -> int:
    """Return the unit's main process, 0 where it does not run."""
    return int(unit_states([unit])[unit].get("MainPID") or 0)


def takes(unit: str, before: set[int], seconds: float) -> bool:
    """Wait for a worker process that was not there before."""
    ends = time.monotonic() + seconds
    while not children(main_process(unit)) - before:
        if time.monotonic() > ends:
            return False
        time.sleep(0.1)
    return True


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "ports": {"type": "list", "elements": "int", "required": True},
            "seconds": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    unit, seconds = module.params["unit"], module.params["seconds"]
    if module.check_mode:
        module.exit_json(changed=True, restarted=False)
    before = children(main_process(unit))
    for verb in ("reload-or-restart", "restart"):
        status, _, errors = systemctl(verb, [unit])
        if status:
            module.fail_json(msg=f"{verb} {unit}: {errors.strip()} (journalctl --unit={unit})")
        if takes(unit, before, seconds):
            module.exit_json(changed=True, restarted=verb == "restart")
        who = {port: shared(main_process(unit), port) for port in module.params["ports"]}
        if taken := [f"{port} ({name})" for port, name in who.items() if name]:
            break
    why = f"another program has port {', '.join(taken)}" if taken else "its log says why"
    module.fail_json(msg=f"{unit} keeps its old configuration: {why}")


if __name__ == "__main__":
    main()

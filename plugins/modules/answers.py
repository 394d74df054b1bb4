#!/usr/bin/python
"""Ansible module: wait until a unit's own process has its ports, and answers."""

from __future__ import annotations

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.askfleet.fleet.plugins.module_utils.host import health, unit_states
from ansible_collections.askfleet.fleet.plugins.module_utils.port import has, owner

DOCUMENTATION = r"""
module: answers
short_description: Wait until the process of a unit listens on its ports
description:
  - A program that is reloaded with a port that another process has keeps its old configuration, and
    says so in its log alone; the other process may answer every check.
options:
  unit:
    description: The systemd unit.
    type: str
    required: true
  ports:
    description: The TCP ports that its main process must listen on.
    type: list
    elements: int
    required: true
  url:
    description: A URL below which C(path) must answer 200; empty for none.
    type: str
    default: ""
  path:
    description: The path that is asked.
    type: str
    default: /health
  seconds:
    description: How long to wait.
    type: int
    default: 15
author: askfleet
"""

EXAMPLES = r"""
- name: Check that nginx has its ports
  askfleet.fleet.answers:
    unit: nginx.service
    ports: [80]
"""

RETURN = r""" # """


def fault(params: dict[str, Any]) -> str:
    """Say what is missing; "" when all is well."""
    unit = params["unit"]
    process = int(unit_states([unit])[unit].get("MainPID") or 0)
    for port in params["ports"]:
        if not (process and has(process, port)):
            who = owner(port)
            hint = f"{who} has it; end that, or choose another port" if who else "nobody has it"
            return f"{unit} does not listen on port {port}: {hint} (journalctl --unit={unit})"
    if params["url"]:
        status = health(params["url"], path=params["path"])["status"]
        if status not in {"ok", "answers 200"}:
            return f"{unit}: {params['url']}{params['path']}: {status}"
    return ""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "ports": {"type": "list", "elements": "int", "required": True},
            "url": {"type": "str", "default": ""},
            "path": {"type": "str", "default": "/health"},
            "seconds": {"type": "int", "default": 15},
        },
        supports_check_mode=True,
    )
    ends = time.monotonic() + module.params["seconds"]
    # In check mode nothing was started or reloaded.
    while not module.check_mode and (found := fault(module.params)):
        if time.monotonic() > ends:
            module.fail_json(msg=found)
        time.sleep(0.2)
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()

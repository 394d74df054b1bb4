#!/usr/bin/python
"""Ansible module: the stack's ports are free, or the stack's own processes answer on them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.askfleet.fleet.plugins.module_utils.host import health
from ansible_collections.askfleet.fleet.plugins.module_utils.port import holds, owner

DOCUMENTATION = r"""
module: stack_ports
short_description: Check who has the ports of the stack
description:
  - Says who has a port that the stack needs, or waits until every process of the stack has its own.
options:
  services:
    description: Services of the stack as the topology describes them.
    type: list
    elements: dict
    required: true
  nginx_ports:
    description: Every port that nginx of the stack listens on.
    type: list
    elements: int
    required: true
  edges:
    description: URLs of the edge.
    type: list
    elements: str
    required: true
  run_dir:
    description: Directory of the processes' ids, C(<name>.pid).
    type: path
    required: true
  log_dir:
    description: Directory of their logs, for messages.
    type: path
    required: true
  state:
    description:
      - C(available) fails where another process has one of the ports. C(ready) waits until each
        process has its ports and answers 200.
    type: str
    choices: [available, ready]
    required: true
  seconds:
    description: How long to wait.
    type: int
    default: 60
author: askfleet
"""

EXAMPLES = r"""
- name: Check the ports
  askfleet.fleet.stack_ports:
    services: [{name: encoder, port: 7100, url: "http://127.0.0.1:7100"}]
    nginx_ports: [8080]
    edges: ["http://127.0.0.1:8080"]
    run_dir: var/stack/run
    log_dir: var/stack/log
    state: available
"""

RETURN = r""" # """


class Ports:
    """The processes that there should be."""

    def __init__(self, params: dict[str, Any]) -> None:
        self._processes = [
            {"name": one["name"], "ports": [int(one["port"])], "urls": [one["url"]]}
            for one in params["services"]
        ]
        edge = {"name": "nginx", "ports": params["nginx_ports"], "urls": params["edges"]}
        self._processes.append(edge)
        self._run, self._log = Path(params["run_dir"]), Path(params["log_dir"])

    def taken(self) -> list[str]:
        """Name every port that another process has; our own may change places."""
        ours = [pid for one in self._processes if (pid := self._pid(one["name"]))]
        return [
            f"port {port} of {one['name']} is taken by {who}; end that, or choose another port "
            "(stack_port, stack_https_port, stack_port_offset)"
            for one in self._processes
            for port in one["ports"]
            if (who := owner(port)) and not any(holds(pid, port) for pid in ours)
        ]

    def missing(self) -> list[str]:
        """Name every process that does not have its ports, or is not healthy."""
        found = []
        for one in self._processes:
            file = "error" if one["name"] == "nginx" else one["name"]
            pid, log = self._pid(one["name"]), f"; its log: {self._log}/{file}.log"
            lost = [port for port in one["ports"] if not (pid and holds(pid, port))]
            if lost:
                who = owner(lost[0]) or "nobody"
                found.append(f"{one['name']} does not have port {lost[0]}, {who} has it{log}")
                continue
            told = {url: health(url)["status"] for url in one["urls"]}
            found += [
                f"{one['name']} is not healthy: {url} {status}{log}"
                for url, status in told.items()
                if status not in {"ok", "answers 200"}
            ]
        return found

    def _pid(self, name: str) -> int | None:
        try:
            return int((self._run / f"{name}.pid").read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return None


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "list", "elements": "dict", "required": True},
            "nginx_ports": {"type": "list", "elements": "int", "required": True},
            "edges": {"type": "list", "elements": "str", "required": True},
            "run_dir": {"type": "path", "required": True},
            "log_dir": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["available", "ready"], "required": True},
            "seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    ports = Ports(module.params)
    ready = module.params["state"] == "ready"
    look = ports.missing if ready else ports.taken
    ends = time.monotonic() + (module.params["seconds"] if ready else 0)
    while (faults := look()) and time.monotonic() < ends:
        time.sleep(0.2)
    if faults:
        module.fail_json(msg="; ".join(faults))
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()

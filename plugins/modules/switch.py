#!/usr/bin/python
"""Ansible module: bring what is staged into service on one host, or leave all as it was."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.askfleet.fleet.plugins.module_utils.host import (
    health_of,
    host_lock,
    keep_link,
    log_of,
    note,
    point_links,
    read_links,
    run,
    serves,
)
from ansible_collections.askfleet.fleet.plugins.module_utils.memory import limit_memory
from ansible_collections.askfleet.fleet.plugins.module_utils.restart import (
    StepError,
    check_startable,
    check_stood_in,
    restart,
    stop,
    wait,
)

DOCUMENTATION = r"""
module: switch
short_description: Flip the links of one kind of service on a host, and prove that it serves
description:
  - Verifies the part, then flips. Encoders and shards are drained and restarted; a gateway that
    runs is asked the canaries of the new generation first and then follows its link without a
    restart. What a service may have of memory follows what it is to load.
  - When a step fails, the links go back and the services serve what they served; the module then
    fails with step and reason. Every flip is noted in the host's journal; a journal that cannot be
    written stops neither a switch nor the way back. One switch at a time goes on on a host.
options:
  kind:
    description: Which services of the host.
    type: str
    choices: [encoder, shard, gateway]
    required: true
  services:
    description: These services as the topology describes them.
    type: list
    elements: dict
    required: true
  links:
    description: Directory of the links.
    type: path
    required: true
  to:
    description: Where C(current) and C(previous) should point; empty for no link.
    type: dict
    required: true
  verify:
    description: >-
      Command that checks the part; empty on the way back, which checks nothing and uses the second
      links that the way forward has made, where the disk takes no new ones.
    type: list
    elements: str
    default: []
  canary:
    description: Command that asks a gateway the new generation's canaries; empty for other kinds.
    type: list
    elements: str
    default: []
  drain:
    description: Whether another replica answers meanwhile.
    type: bool
    default: false
  alone:
    description: Whether to go on where C(drain) is wanted and no other replica answers any more.
    type: bool
    default: true
  ready_seconds:
    description: How long a restarted service may take.
    type: int
    default: 120
  run:
    description: Who does what, for the journal.
    type: dict
    default: {}
extends_documentation_fragment:
  - askfleet.fleet.directories.state
author: askfleet
"""

EXAMPLES = r"""
- name: Serve the generation from this shard host
  askfleet.fleet.switch:
    kind: shard
    services: "{{ services }}"
    links: /srv/askfleet/shard
    to: {current: /srv/askfleet/generations/NEW, previous: /srv/askfleet/generations/OLD}
    verify: [/opt/askfleet/current/bin/askfleet, verify, --shard=0, /srv/askfleet/generations/NEW]
    drain: true
    state_dir: /var/lib/askfleet
"""

RETURN = r"""
ansible_facts:
  description: >-
    C(activation_switched_KIND), what is returned here, so that other hosts know that this one has
    done it.
  type: dict
  returned: success
before:
  description: Where the links pointed.
  type: dict
  returned: always
seconds:
  description: How long the services of this host were being switched.
  type: float
  returned: success
unwritten:
  description: Why the journal misses this change; empty where it has it.
  type: str
  returned: always
log:
  description: The end of the services' logs.
  type: list
  elements: str
  returned: failure
"""


class Switch:
    """The way from what the links say to what they should say, and back."""

    def __init__(self, params: dict[str, Any]) -> None:
        self._params = params
        self._services: list[dict[str, Any]] = params["services"]
        self._links = Path(params["links"])
        self._to = {name: params["to"].get(name) or "" for name in ("current", "previous")}
        self.before = read_links(self._links)
        self._touched = False

    def needed(self) -> bool:
        """Whether links or services are not yet what they should be."""
        if self.before != self._to:
            return True
        current = self._to["current"]
        bodies = [health_of(service) for service in self._services]
        return bool(current) and not all(
            serves(body, current) and not self._outlived(body) for body in bodies
        )

    def forward(self) -> None:
        """Do it; raises StepError, after which `back` undoes what was done."""
        self._command("verify the part", self._params["verify"])
        if self._params["verify"]:
            for name in self.before:
                keep_link(self._links / name)
        if not self._to["current"]:
            self._touched = True
            point_links(self._links, self._to)
            stop(self._services)
            return
        if self._follows():
            self._command("ask the canaries", self._params["canary"])
            self._touched = True
            self._change(self._to)
            self._wait(self._to)
            return
        check_startable(self._services)
        if self._drains and not self._params["alone"]:
            check_stood_in(self._services)
        self._touched = True
        self._restart(self._to)
        if self._params["canary"]:
            self._command("ask the canaries", self._params["canary"])

    def back(self) -> str:
        """Undo; returns what could not be undone, "" when everything is as it was."""
        if not self._touched:
            return ""
        try:
            if not self.before["current"]:
                point_links(self._links, self.before)
                stop(self._services)
            elif self._follows():
                self._change(self.before)
                self._wait(self.before)
            else:
                self._restart(self.before)
        except (StepError, OSError) as error:
            return f"; and it did not come back: {error}"
        return ""

    @property
    def _drains(self) -> bool:
        return bool(self._params["drain"] and self.before["current"])

    def _follows(self) -> bool:
        """A gateway that runs follows its link by itself."""
        return self._params["kind"] == "gateway" and all(
            health_of(service)["status"] == "ok" for service in self._services
        )

    def _outlived(self, body: dict[str, Any]) -> bool:
        """Whether a shard, which maps its files, goes on with files that were replaced since."""
        if self._params["kind"] != "shard":
            return False
        started = time.time() - body.get("uptime_seconds", 0.0)
        parts = [Path(target) for target in self._to.values() if target]
        # A directory's ctime is when it got its name. /health rounds; nobody mends within 1 s.
        return any(part.exists() and part.stat().st_ctime > started + 1.0 for part in parts)

    def _restart(self, to: dict[str, str]) -> None:
        restart(
            self._services,
            lambda _, body: serves(body, to["current"]),
            drain=self._drains,
            seconds=self._params["ready_seconds"],
            change=lambda: self._change(to),
        )

    def _change(self, to: dict[str, str]) -> None:
        limit_memory(self._services, to)
        point_links(self._links, to)

    def _wait(self, to: dict[str, str]) -> None:
        seconds = self._params["ready_seconds"]
        wait(self._services, lambda _, body: serves(body, to["current"]), seconds)

    def _command(self, step: str, argv: list[str]) -> None:
        if not argv:
            return
        status, output, errors = run(argv)
        if status:
            raise StepError(f"{step}: {(errors or output).strip() or f'status {status}'}")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "kind": {"type": "str", "choices": ["encoder", "shard", "gateway"], "required": True},
            "services": {"type": "list", "elements": "dict", "required": True},
            "links": {"type": "path", "required": True},
            "to": {"type": "dict", "required": True},
            "verify": {"type": "list", "elements": "str", "default": []},
            "canary": {"type": "list", "elements": "str", "default": []},
            "drain": {"type": "bool", "default": False},
            "alone": {"type": "bool", "default": True},
            "ready_seconds": {"type": "int", "default": 120},
            "state_dir": {"type": "path", "required": True},
            "run": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    params = module.params
    state = Path(params["state_dir"])
    with host_lock(state, check=module.check_mode):
        start = time.monotonic()
        switch = Switch(params)
        needed = switch.needed()
        if not needed or module.check_mode:
            module.exit_json(**_answer(params, switch, needed, 0.0))
        entry = {**params["run"], "kind": params["kind"], "from": switch.before, "to": params["to"]}
        try:
            switch.forward()
        except (StepError, OSError) as error:
            log = log_of(f"{service['unit']}.service" for service in params["services"])
            left = switch.back()
            seconds = round(time.monotonic() - start, 2)
            result = f"{error}{left or '; put back'}"
            unwritten = note(state, {**entry, "result": result, "seconds": seconds})
            told = {"before": switch.before, "unwritten": unwritten}
            module.fail_json(msg=f"{error}{left}", log=log, **told)
        seconds = round(time.monotonic() - start, 2)
        unwritten = note(state, {**entry, "result": "ok", "seconds": seconds})
        module.exit_json(**_answer(params, switch, True, seconds, unwritten))


def _answer(
    params: dict[str, Any], switch: Switch, changed: bool, seconds: float, unwritten: str = ""
) -> dict[str, Any]:
    """The result, and the fact that this kind of service has been switched on this host."""
    told = {"changed": changed, "before": switch.before, "seconds": seconds, "unwritten": unwritten}
    return {**told, "ansible_facts": {f"activation_switched_{params['kind']}": told}}


if __name__ == "__main__":
    main()

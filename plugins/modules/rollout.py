#!/usr/bin/python
"""Ansible module: run a host's services with another release, units and settings, or go back."""

from __future__ import annotations

import hashlib
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.askfleet.fleet.plugins.module_utils.host import (
    host_lock,
    log_of,
    note,
    run,
    systemctl,
    unit_states,
)
from ansible_collections.askfleet.fleet.plugins.module_utils.installed import ENDS, Files
from ansible_collections.askfleet.fleet.plugins.module_utils.port import addresses
from ansible_collections.askfleet.fleet.plugins.module_utils.restart import (
    StepError,
    check_startable,
    restart,
)

DOCUMENTATION = r"""
module: rollout
short_description: Bring a host's installed release, units and settings into service
description:
  - The wanted units and settings lie in C(next), the release beside the running one. What differs
    from what the services were last started with is put in its place, and these services are
    drained and restarted together.
  - When one does not come back, link, units and settings go back to what they were, the services
    restart with those, and the module fails. C(state=back) does the same for a host that had been
    rolled out by this run.
options:
  services:
    description: The services of this host as the topology describes them.
    type: list
    elements: dict
    required: true
  release:
    description: Name of the release.
    type: str
    required: true
  drain:
    description: Names of the services for which another replica answers meanwhile.
    type: list
    elements: str
    default: []
  ready_seconds:
    description: How long a restarted service may take.
    type: int
    default: 120
  run:
    description: Who does what, for the journal.
    type: dict
    default: {}
  state:
    description: Whether to roll out, or to go back to what was before this run.
    type: str
    choices: [rolled, back]
    default: rolled
extends_documentation_fragment:
  - askfleet.fleet.directories.install
  - askfleet.fleet.directories.units
  - askfleet.fleet.directories.state
author: askfleet
"""

EXAMPLES = r"""
- name: Roll out
  askfleet.fleet.rollout:
    services: "{{ askfleet_fleet.hosts[inventory_hostname].services }}"
    release: 0.2.0-0123abcd
    install_dir: /opt/askfleet
    config_dir: /etc/askfleet
    state_dir: /var/lib/askfleet
"""

RETURN = r"""
restarted:
  description: Services that were restarted.
  type: list
  elements: str
  returned: success
unwritten:
  description: Why the journal misses this change; empty where it has it.
  type: str
  returned: when something was rolled out or put back
log:
  description: The end of the services' logs.
  type: list
  elements: str
  returned: failure
"""

_LISTENS = re.compile(r"^ListenStream=(.+)$", re.MULTILINE)


class Rollout:
    """The way from what the services were started with to what they should be started with."""

    def __init__(self, params: dict[str, Any]) -> None:
        self._params = params
        self.services: list[dict[str, Any]] = params["services"]
        self.files = Files(params)
        self._applied = Path(params["state_dir"]) / "applied"

    def stale(self) -> list[dict[str, Any]]:
        """Return the services that were started with something else, or do not run and should."""
        units = unit_states(f"{service['unit']}.service" for service in self.services)
        found = []
        for service, state in zip(self.services, units.values(), strict=True):
            stamp = self._applied / service["name"]
            applied = stamp.read_text(encoding="utf-8") if stamp.exists() else ""
            runs = state.get("ActiveState") == "active" or not self._has_something(service)
            enabled = state.get("UnitFileState") == "enabled"
            if applied != self._fingerprint(service) or not runs or not enabled:
                found.append(service)
        return found

    def forward(self, services: list[dict[str, Any]]) -> None:
        """Roll out; raises StepError, after which `back` undoes it."""
        self.files.put()
        self._apply(services, self.files.release.name)
        for service in services:
            (self._applied / service["name"]).write_text(
                self._fingerprint(service), encoding="utf-8"
            )

    def back(self, services: list[dict[str, Any]]) -> str:
        """Undo; returns what could not be undone, "" when everything is as it was."""
        # Without the stamp the next rollout restarts the service, which is right, not needed.
        with suppress(OSError):
            for service in services:
                (self._applied / service["name"]).unlink(missing_ok=True)
        new = self.files.new_units()
        try:
            systemctl("disable", [path.name for path in new], "--now")
            self.files.put_back()
            before = [one for one in services if self._unit_of(one) not in new]
            self._apply(before, self.files.link.readlink().name)
        except (StepError, OSError) as error:
            return f"; and it did not come back: {error}"
        return ""

    def _apply(self, services: list[dict[str, Any]], release: str) -> None:
        run(["systemctl", "daemon-reload"])
        units = [f"{service['unit']}{end}" for service in services for end in ENDS]
        status, _, errors = systemctl("enable", units)
        if status:
            raise StepError(f"enable {' and '.join(units)}: {errors.strip()}")
        serving = [service for service in services if self._has_something(service)]
        check_startable(serving)
        self._rebind(serving)
        drain = all(service["name"] in self._params["drain"] for service in serving)
        restart(
            serving,
            lambda _, body: body["status"] == "ok" and body.get("release") == release,
            drain=drain,
            seconds=self._params["ready_seconds"],
        )

    def _rebind(self, services: list[dict[str, Any]]) -> None:
        """Stop sockets that do not listen where their units say; the restart starts them again.

        systemd would go on with such a socket, and start the service without it.
        """
        for service in services:
            text = self._unit_of(service, ".socket").read_text(encoding="utf-8")
            wanted = set(_LISTENS.findall(text))
            ports = {int(address.rpartition(":")[2]) for address in wanted}
            if wanted != set().union(*map(addresses, ports)):
                systemctl("stop", [f"{service['unit']}.service", f"{service['unit']}.socket"])

    def _has_something(self, service: dict[str, Any]) -> bool:
        """Whether there is something to serve; a shard that is new to its host has nothing yet."""
        current = Path(service["links"]) / "current"
        if not current.is_symlink():
            return False
        return not current.exists() or (current / (service["part"] or "")).exists()

    def _unit_of(self, service: dict[str, Any], end: str = ".service") -> Path:
        return Path(self.files.places["units"], f"{service['unit']}{end}")

    def _fingerprint(self, service: dict[str, Any]) -> str:
        """What a service is started with: its release, units and settings."""
        wanted = self.files.wanted()
        paths = [self._unit_of(service, end) for end in ENDS]
        paths.append(self.files.places["settings"] / f"{service['name']}.env")
        texts = [self.files.release.name.encode(), *(wanted.get(path, b"") for path in paths)]
        return hashlib.sha256(b"\0".join(texts)).hexdigest()


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "list", "elements": "dict", "required": True},
            "release": {"type": "str", "required": True},
            "install_dir": {"type": "path", "required": True},
            "config_dir": {"type": "path", "required": True},
            "unit_dir": {"type": "path", "default": "/etc/systemd/system"},
            "state_dir": {"type": "path", "required": True},
            "drain": {"type": "list", "elements": "str", "default": []},
            "ready_seconds": {"type": "int", "default": 120},
            "run": {"type": "dict", "default": {}},
            "state": {"type": "str", "choices": ["rolled", "back"], "default": "rolled"},
        },
        supports_check_mode=True,
    )
    params = module.params
    if not Path(params["state_dir"]).is_dir():
        module.exit_json(changed=True, restarted=[])  # check mode, on a host that is still bare
    with host_lock(Path(params["state_dir"])):
        act(module, Rollout(params))


def act(module: AnsibleModule, rollout: Rollout) -> None:
    """Do what is asked for, and say what was done."""
    params = module.params
    run_id = params["run"].get("run", "")
    names = [service["name"] for service in rollout.services]
    if params["state"] == "back":
        if not rollout.files.remembers(run_id):
            module.exit_json(changed=False, restarted=[])
        left = rollout.back(rollout.services)
        if left:
            module.fail_json(msg=left.removeprefix("; and "), log=_logs(rollout.services))
        unwritten = _note(params, names, "put back", 0.0)
        rollout.files.forget()
        module.exit_json(changed=True, restarted=names, unwritten=unwritten)
    stale = rollout.stale()
    names = [service["name"] for service in stale]
    if module.check_mode or not stale:
        module.exit_json(changed=bool(stale), restarted=names)
    try:
        rollout.files.remember(run_id)
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: cannot keep what is in place: {error.strerror}")
    start = time.monotonic()
    try:
        rollout.forward(stale)
    except (StepError, OSError) as error:
        log = _logs(stale)
        left = rollout.back(stale)
        rollout.files.forget()
        result = f"{error}{left or '; put back'}"
        unwritten = _note(params, names, result, time.monotonic() - start)
        module.fail_json(msg=f"{error}{left}", log=log, unwritten=unwritten)
    unwritten = _note(params, names, "ok", time.monotonic() - start)
    module.exit_json(changed=True, restarted=names, unwritten=unwritten)


def _logs(services: list[dict[str, Any]]) -> list[str]:
    return list(log_of(f"{service['unit']}.service" for service in services))


def _note(params: dict[str, Any], names: list[str], result: str, seconds: float) -> str:
    entry = {**params["run"], "kind": "release", "services": names, "to": params["release"]}
    entry |= {"result": result, "seconds": round(seconds, 2)}
    return str(note(Path(params["state_dir"]), entry))


if __name__ == "__main__":
    main()

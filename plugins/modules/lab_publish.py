#!/usr/bin/python
"""Ansible module: publish an address of a lab's network on an address of this machine."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.askfleet.fleet.plugins.module_utils.lab_daemon import (
    Daemon,
    same_namespace,
    stop,
    wait_until,
)

DOCUMENTATION = r"""
module: lab_publish
short_description: Forward a loopback port of this machine into a lab
description:
  - A socket keeps the namespace it was made in, so systemd-socket-activate listens here and
    systemd-socket-proxyd, started inside the lab's namespace, connects there.
options:
  lab:
    description: Name of the lab, which is the name of its network namespace.
    type: str
    required: true
  run_dir:
    description: Directory for the pid file and the log.
    type: path
    required: true
  listen:
    description: C(host:port) on this machine.
    type: str
  target:
    description: C(host:port) inside the lab.
    type: str
  state:
    description: Whether the port should be published.
    type: str
    choices: [started, stopped]
    default: started
author: askfleet
"""

EXAMPLES = r"""
- name: Publish the edge
  askfleet.fleet.lab_publish:
    lab: askfleet
    run_dir: /run/askfleet-lab/askfleet
    listen: 127.0.0.1:8080
    target: 198.18.0.10:80
"""

RETURN = r"""
log:
  description: File with the forwarder's output.
  type: str
  returned: always
"""

PROXY = "/lib/systemd/systemd-socket-proxyd"


def is_free(listen: str) -> bool:
    """Tell whether nobody listens on `listen` (host:port)."""
    host, port = listen.rsplit(":", 1)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
    return True


def who_listens(module: AnsibleModule, listen: str) -> str:
    """Return the process that `ss` names as the owner of `listen`."""
    port = listen.rsplit(":", 1)[1]
    _, text, _ = module.run_command(["ss", "-Hltnp", f"sport = :{port}"])
    found = re.search(r'\("(.+?)",pid=(\d+)', text)
    return f"{found[1]} (process {found[2]})" if found else "another process"


def start(module: AnsibleModule, daemon: Daemon, record: Path, command: list[str]) -> None:
    """Replace the forwarder, or fail with the reason why it cannot listen."""
    listen = module.params["listen"]
    holds_it = daemon.pid() is not None and f"--listen={listen}" in _read(record)
    if not holds_it and not is_free(listen):
        module.fail_json(
            msg=f"{listen} is taken by {who_listens(module, listen)}. Free it, or choose another "
            "port: ASKFLEET_LAB_PORT=8081 (see docs/lab.md)."
        )
    stop([daemon], patience=2)
    daemon.start(module.run_command, command)
    record.write_text("\n".join(command), encoding="utf-8")
    # That somebody listens proves nothing: it is this process that must.
    if not wait_until(lambda: f"(process {daemon.pid()})" in who_listens(module, listen), 5):
        module.fail_json(msg=f"The forwarder does not listen on {listen}; see {daemon.log}.")


def _read(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "lab": {"type": "str", "required": True},
            "run_dir": {"type": "path", "required": True},
            "listen": {"type": "str"},
            "target": {"type": "str"},
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
        },
        required_if=[("state", "started", ["listen", "target"])],
        supports_check_mode=True,
    )
    params = module.params
    run_dir, namespace = Path(params["run_dir"]), Path("/run/netns", params["lab"])
    daemon = Daemon(params["lab"], "publish", run_dir)
    record = run_dir / "publish.command"
    if params["state"] == "stopped":
        changed = daemon.leftovers()
        if not module.check_mode:
            stop([daemon], patience=2)
            record.unlink(missing_ok=True)
        module.exit_json(changed=changed, log=str(daemon.log))

    command = [
        "systemd-socket-activate",
        f"--listen={params['listen']}",
        "nsenter",
        f"--net={namespace}",
    ]
    command += [PROXY, "--connections-max=1024", params["target"]]
    pid = daemon.pid()
    as_wanted = (
        pid is not None
        # It waits here for the first connection, and lives in the lab from then on.
        and (same_namespace(pid, namespace) or same_namespace(pid, Path("/proc/self/ns/net")))
        and _read(record) == command
    )
    if not as_wanted and not module.check_mode:
        start(module, daemon, record, command)
    module.exit_json(changed=not as_wanted, log=str(daemon.log))


if __name__ == "__main__":
    main()

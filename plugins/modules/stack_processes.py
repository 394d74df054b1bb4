#!/usr/bin/python
"""Ansible module: which processes of a stack run, and stop them all at once."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: stack_processes
short_description: Look which processes of the stack run, or stop them, side by side
description:
  - A process id is believed only of a process that was started with this stack's directory.
options:
  directory:
    description: The stack's directory; the ids are in C(run/<name>.pid).
    type: path
    required: true
  names:
    description: The processes; none of O(state=stopped) are all that have a file.
    type: list
    elements: str
    default: []
  state:
    description: C(known) looks only.
    type: str
    choices: [known, stopped]
    required: true
  seconds:
    description: How long one may take to stop.
    type: int
    default: 30
author: askfleet
"""

EXAMPLES = r"""
- name: Stop the stack
  askfleet.fleet.stack_processes:
    directory: var/stack
    state: stopped
"""

RETURN = r"""
running:
  description: Names of the processes that ran when the module began.
  type: list
  elements: str
  returned: always
"""

POLL = 0.05


def running(directory: Path, names: list[str]) -> dict[str, int]:
    """Process ids by name, of those that run."""
    found = {name: _process(directory, directory / f"run/{name}.pid") for name in names}
    return {name: process for name, process in found.items() if process}


def _process(directory: Path, file: Path) -> int:
    """The process that a file names; 0 where it is gone, or is not of this stack."""
    try:
        process = int(file.read_text())
        command = Path(f"/proc/{process}/cmdline").read_bytes()
    except (OSError, ValueError):
        return 0
    return process if os.fsencode(f"{directory}/") in command else 0


def stop(processes: dict[str, int], seconds: float) -> list[str]:
    """Ask all to stop, and wait; names of those that still run then."""
    for process in processes.values():
        try:
            os.kill(process, signal.SIGTERM)
        except ProcessLookupError:
            continue
    ends = time.monotonic() + seconds
    left = dict(processes)
    while left and time.monotonic() < ends:
        time.sleep(POLL)
        left = {name: one for name, one in left.items() if Path(f"/proc/{one}").exists()}
    return list(left)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["known", "stopped"], "required": True},
            "seconds": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    given: dict[str, Any] = module.params
    directory = Path(given["directory"])
    stopping = given["state"] == "stopped"
    files = sorted(directory.glob("run/*.pid"))
    names = given["names"] or ([file.stem for file in files] if stopping else [])
    found = running(directory, names)
    if not stopping or module.check_mode:
        module.exit_json(changed=stopping and bool(found), running=list(found))
    left = stop(found, given["seconds"])
    if left:
        ids = ", ".join(f"{name} ({found[name]})" for name in left)
        module.fail_json(msg=f"still running after {given['seconds']} s: {ids}", running=left)
    for name in names:
        (directory / f"run/{name}.pid").unlink(missing_ok=True)
    module.exit_json(changed=bool(found), running=list(found))


if __name__ == "__main__":
    main()

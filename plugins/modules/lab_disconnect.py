#!/usr/bin/python
"""Ansible module: close the ssh connections that Ansible keeps open to a lab's hosts."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: lab_disconnect
short_description: Close shared ssh connections (ControlMaster)
description:
  - A connection to a host that was restarted or removed is dead, but ssh would still use it.
options:
  path:
    description: Directory of the control sockets (ansible_control_path_dir).
    type: path
    required: true
author: askfleet
"""

EXAMPLES = r"""
- name: Close the ssh connections
  askfleet.fleet.lab_disconnect:
    path: /run/askfleet-lab/askfleet/ssh
"""

RETURN = r"""
closed:
  description: Control sockets of the connections that were closed.
  type: list
  elements: str
  returned: success
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"path": {"type": "path", "required": True}}, supports_check_mode=True
    )
    directory = Path(module.params["path"])
    sockets = sorted(path for path in directory.glob("*") if path.is_socket())
    for path in [] if module.check_mode else sockets:
        # Fails where nobody listens any more; the socket's name is then all that is left.
        module.run_command(["ssh", "-o", f"ControlPath={path}", "-O", "exit", "lab"])
        path.unlink(missing_ok=True)
    module.exit_json(changed=bool(sockets), closed=[str(path) for path in sockets])


if __name__ == "__main__":
    main()

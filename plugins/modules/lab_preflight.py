#!/usr/bin/python
"""Ansible module: can this machine run a lab, and which of its tools are missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.askfleet.fleet.plugins.module_utils.lab_cgroup import TOP, hierarchies

DOCUMENTATION = r"""
module: lab_preflight
short_description: Check that this machine can run hosts in namespaces
description:
  - Fails with one line that names what is missing and the way that remains.
options:
  tools:
    description: Programs that the lab calls.
    type: list
    elements: str
    required: true
  alternative:
    description: What to do where the lab cannot run; ends the message.
    type: str
    required: true
author: askfleet
"""

EXAMPLES = r"""
- name: Check that this machine can run the lab
  askfleet.fleet.lab_preflight:
    tools: [mmdebstrap, systemd-nspawn]
    alternative: Use make stack.
"""

RETURN = r"""
missing_tools:
  description: Programs that are not installed.
  type: list
  elements: str
  returned: success
"""

NAMESPACES = ("--mount", "--net", "--pid", "--uts", "--ipc", "--fork")


def missing(module: AnsibleModule) -> str | None:
    """Return what this machine lacks for a lab, or None."""
    if os.geteuid() != 0:
        return "root is needed (to make namespaces and mounts)"
    if shutil.which("apt-get") is None:
        return "a Debian machine is needed (apt-get was not found)"
    code, _, error = module.run_command(["unshare", *NAMESPACES, "true"])
    if code:
        return f"namespaces cannot be made here ({error.strip()})"
    if not hierarchies():
        return "a mounted cgroup2 or name=systemd control group hierarchy was not found"
    for root in hierarchies().values():
        try:
            probe = root / TOP / f"preflight-{os.getpid()}"
            probe.mkdir(parents=True)
            probe.rmdir()
        except OSError as error:
            return f"control groups cannot be made here ({error})"
    if not Path("/proc/sys/net/ipv4").is_dir():
        return "/proc/sys/net is needed for a network of its own"
    return None


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "tools": {"type": "list", "elements": "str", "required": True},
            "alternative": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    reason = missing(module)
    if reason:
        module.fail_json(
            msg=f"The lab cannot run on this machine: {reason}. {module.params['alternative']}"
        )
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    tools = [tool for tool in module.params["tools"] if shutil.which(tool, path=path) is None]
    module.exit_json(changed=False, missing_tools=tools)


if __name__ == "__main__":
    main()

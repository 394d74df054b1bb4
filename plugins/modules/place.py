#!/usr/bin/python
"""Ansible module: put a staged part in its place, once it has been verified there."""

from __future__ import annotations

import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.askfleet.fleet.plugins.module_utils.host import run

DOCUMENTATION = r"""
module: place
short_description: Verify a part that was sent, and give it its name
description:
  - The part lies in a hidden directory beside its place. Where it is not what its record says, the
    hidden directory is removed and the module fails. A damaged part that has the place makes room.
options:
  staged:
    description: The hidden directory.
    type: path
    required: true
  path:
    description: Its place.
    type: path
    required: true
  modes:
    description: A file of tmpfiles.d(5) that says who may read it; empty for none.
    type: str
    default: ""
  verify:
    description: The command that checks a part; the directory is added to it.
    type: list
    elements: str
    required: true
author: askfleet
"""

EXAMPLES = r"""
- name: Put the part in its place
  askfleet.fleet.place:
    staged: /srv/askfleet/generations/.staging-20261124T120000Z-0123abcd
    path: /srv/askfleet/generations/20261124T120000Z-0123abcd
    verify: [/opt/askfleet/current/bin/askfleet, verify, --shard=0]
    modes: /etc/tmpfiles.d/askfleet.conf
"""

RETURN = r"""
path:
  description: Where the part is now.
  type: str
  returned: success
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "staged": {"type": "path", "required": True},
            "path": {"type": "path", "required": True},
            "verify": {"type": "list", "elements": "str", "required": True},
            "modes": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    staged, path = Path(module.params["staged"]), Path(module.params["path"])
    if module.check_mode:
        module.exit_json(changed=True, path=str(path))
    command = [*module.params["verify"], str(staged)]
    status, output, errors = run(command)
    if status:
        shutil.rmtree(staged, ignore_errors=True)
        module.fail_json(msg=f"verify what arrived: {(errors or output).strip()}")
    damaged = staged.with_name(f".staging-damaged-{path.name}")
    shutil.rmtree(damaged, ignore_errors=True)
    if path.exists():
        path.rename(damaged)
    staged.rename(path)
    shutil.rmtree(damaged, ignore_errors=True)
    if module.params["modes"]:
        tmpfiles = ["systemd-tmpfiles", "--create", f"--prefix={path.parent}"]
        status, output, errors = run([*tmpfiles, module.params["modes"]])
        if status:
            module.fail_json(msg=f"set who may read {path}: {(errors or output).strip()}")
    module.exit_json(changed=True, path=str(path))


if __name__ == "__main__":
    main()

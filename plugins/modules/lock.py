#!/usr/bin/python
"""Ansible module: the lock that keeps two changes of a fleet apart, as one host holds it."""

from __future__ import annotations

import json
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.askfleet.fleet.plugins.module_utils.host import alone, read_lock

DOCUMENTATION = r"""
module: lock
short_description: Take or give back the fleet's lock on a host
description:
  - The lock is a file that says who holds it. It is taken where nobody holds it, where the same
    run does, or where the holder is the one named by C(replaces); else the module fails and names
    the holder. A disk that does not take the file is another failure, without C(was).
options:
  path:
    description: The lock's file.
    type: path
    required: true
  holder:
    description: Who takes it; C(run) tells runs apart.
    type: dict
    required: true
  replaces:
    description: The C(run) of a holder that has ended or is to be broken; C(*) for whoever it is.
    type: str
    default: ""
  state:
    description: Whether to hold the lock.
    type: str
    choices: [held, free]
    default: held
author: askfleet
"""

EXAMPLES = r"""
- name: Take the lock
  askfleet.fleet.lock:
    path: /var/lib/askfleet/update.lock
    holder: {run: 20261124T120000Z-1234, by: root@controller, what: update}
"""

RETURN = r"""
was:
  description: Who held it before; empty for nobody.
  type: dict
  returned: when the lock was taken or given back, or another run holds it
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "holder": {"type": "dict", "required": True},
            "replaces": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": ["held", "free"], "default": "held"},
        },
        supports_check_mode=True,
    )
    path, holder = Path(module.params["path"]), module.params["holder"]
    with alone(path.with_suffix(".guard"), check=module.check_mode):
        was = read_lock(path)
        ours = was.get("run") == holder["run"]
        if module.params["state"] == "free":
            try:
                if ours and not module.check_mode:
                    path.unlink(missing_ok=True)
            except OSError as error:
                module.fail_json(msg=f"{path} cannot be removed: {error.strerror}")
            module.exit_json(changed=False, was=was)
        if was and not ours and module.params["replaces"] not in {was.get("run"), "*"}:
            module.fail_json(
                msg=f"{was.get('by', 'somebody')} has held the lock since {was.get('since', '?')} "
                f"({was.get('what', 'unknown')})",
                was=was,
            )
        if not module.check_mode:
            new = path.with_suffix(".new")
            try:
                new.write_text(json.dumps(holder), encoding="utf-8")
                new.replace(path)
            except OSError as error:
                module.fail_json(msg=f"{path} cannot be written: {error.strerror}")
        # What is given back in the end is no change of the host.
        module.exit_json(changed=False, was=was)


if __name__ == "__main__":
    main()

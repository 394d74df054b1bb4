#!/usr/bin/python
"""Ansible module: remove old generations and models that no link names."""

from __future__ import annotations

import shutil
from pathlib import Path

from ansible.module_utils.askfleet_host import host_lock, read_links
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: askfleet_prune
short_description: Remove what no link of this host names
description:
  - Keeps the newest generations by name (an id begins with its time), and whatever a link names.
    Other models go, and what an interrupted run left unfinished.
options:
  data_dir:
    description: Directory of generations, models and links.
    type: path
    required: true
  state_dir:
    description: Directory of the host's journal.
    type: path
    required: true
  keep:
    description: How many generations stay.
    type: int
    required: true
author: askfleet
"""

EXAMPLES = r"""
- name: Prune
  askfleet_prune:
    data_dir: /srv/askfleet
    state_dir: /var/lib/askfleet
    keep: 3
"""

RETURN = r"""
removed:
  description: Directories that were (or, in check mode, would be) removed.
  type: list
  elements: str
  returned: success
"""


def old(data: Path, keep: int) -> list[Path]:
    """Return what may go: nothing that a link names, not the newest `keep` generations."""
    kinds = ("encoder", "shard", "gateway")
    linked = {target for kind in kinds for target in read_links(data / kind).values()}
    generations = sorted((data / "generations").glob("[0-9]*"), reverse=True)
    unfinished = sorted(data.glob("generations/.staging-*")) + sorted(
        data.glob("models/.staging-*")
    )
    models = sorted((data / "models").glob("[0-9a-f]*"))
    return [path for path in [*generations[keep:], *models, *unfinished] if str(path) not in linked]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "data_dir": {"type": "path", "required": True},
            "state_dir": {"type": "path", "required": True},
            "keep": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    with host_lock(Path(module.params["state_dir"]), check=module.check_mode):
        removed = old(Path(module.params["data_dir"]), module.params["keep"])
        for path in [] if module.check_mode else removed:
            shutil.rmtree(path)
    module.exit_json(changed=bool(removed), removed=[str(path) for path in removed])


if __name__ == "__main__":
    main()

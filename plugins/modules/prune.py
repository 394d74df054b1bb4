#!/usr/bin/python
"""Ansible module: remove old generations and models that no link names."""

from __future__ import annotations

import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.askfleet.fleet.plugins.module_utils.host import host_lock, read_links

DOCUMENTATION = r"""
module: prune
short_description: Remove what no link of this host names
description:
  - Keeps the newest generations by name (an id begins with its time), and whatever a link names.
    Other models go, and what an interrupted run left unfinished.
  - With C(unserved), generations that are newer than every linked one go, too. An update that
    failed has staged them, and nothing has ever served them here.
options:
  keep:
    description: How many generations stay.
    type: int
    required: true
  unserved:
    description: Whether what was staged and never served goes, too.
    type: bool
    default: false
extends_documentation_fragment:
  - askfleet.fleet.directories.data
  - askfleet.fleet.directories.state
author: askfleet
"""

EXAMPLES = r"""
- name: Prune
  askfleet.fleet.prune:
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


KINDS = ("encoder", "shard", "gateway")


def old(data: Path, keep: int, *, unserved: bool = False) -> list[Path]:
    """Return what may go: nothing that a link names, not the newest `keep` generations.

    With `unserved`, generations newer than every linked one are not kept, nor counted.
    """
    linked = {target for kind in KINDS for target in _links(data, kind)}
    generations = sorted((data / "generations").glob("[0-9]*"), reverse=True)
    unfinished = sorted(data.glob("generations/.staging-*")) + sorted(
        data.glob("models/.staging-*")
    )
    models = sorted((data / "models").glob("[0-9a-f]*"))
    served = max(
        (Path(target).name for kind in KINDS[1:] for target in _links(data, kind)), default=""
    )
    staged = [path for path in generations if unserved and served and path.name > served]
    kept = [path for path in generations if path not in staged][:keep]
    rest = [path for path in generations if path not in kept]
    return [path for path in [*rest, *models, *unfinished] if str(path) not in linked]


def _links(data: Path, kind: str) -> list[str]:
    return [target for target in read_links(data / kind).values() if target]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "data_dir": {"type": "path", "required": True},
            "state_dir": {"type": "path", "required": True},
            "keep": {"type": "int", "required": True},
            "unserved": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    with host_lock(Path(module.params["state_dir"]), check=module.check_mode):
        params = module.params
        removed = old(Path(params["data_dir"]), params["keep"], unserved=params["unserved"])
        for path in [] if module.check_mode else removed:
            shutil.rmtree(path)
    module.exit_json(changed=bool(removed), removed=[str(path) for path in removed])


if __name__ == "__main__":
    main()

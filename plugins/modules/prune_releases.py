#!/usr/bin/python
"""Ansible module: remove old releases of the application, and environments on which none stands."""

from __future__ import annotations

import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: prune_releases
short_description: Remove old releases and the environments that only they needed
description:
  - Keeps the current release and those installed last. A release's age is that of its
    C(release.env), which is written once, when it is whole.
options:
  keep:
    description: How many releases stay.
    type: int
    required: true
extends_documentation_fragment:
  - askfleet.fleet.directories.install
author: askfleet
"""

EXAMPLES = r"""
- name: Prune the releases
  askfleet.fleet.prune_releases:
    install_dir: /opt/askfleet
    keep: 3
"""

RETURN = r"""
removed:
  description: Directories that were (or, in check mode, would be) removed.
  type: list
  elements: str
  returned: success
"""


def old(install: Path, keep: int) -> list[Path]:
    """Return the releases that may go, and the environments that nobody needs then."""
    current = (install / "current").resolve()
    releases = [path for path in (install / "releases").glob("*") if path.is_dir()]
    by_age = sorted(releases, key=lambda path: (path != current, -_installed(path)))
    kept = by_age[: max(keep, 1)]
    needed = {_environment(path) for path in kept}
    environments = [
        path for path in (install / "environments").glob("*") if str(path) not in needed
    ]
    return by_age[len(kept) :] + environments


def _installed(release: Path) -> float:
    marker = release / "release.env"
    return marker.stat().st_mtime if marker.exists() else 0.0


def _environment(release: Path) -> str:
    """The environment that a release's environment.pth names."""
    for file in release.glob("lib/python*/site-packages/environment.pth"):
        return str(Path(file.read_text(encoding="utf-8").strip()).parents[2])
    return ""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "install_dir": {"type": "path", "required": True},
            "keep": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    removed = old(Path(module.params["install_dir"]), module.params["keep"])
    for path in [] if module.check_mode else removed:
        shutil.rmtree(path)
    module.exit_json(changed=bool(removed), removed=[str(path) for path in removed])


if __name__ == "__main__":
    main()

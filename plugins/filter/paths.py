"""A filter that reads a path as the operator typed it."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def askfleet_typed(path: str) -> str:
    """Make a path absolute: relative to the directory where ansible-playbook was started.

    The variable PWD does not say where that is: cron and CI runners leave it as it was. Ansible
    itself never changes its working directory, so the process knows.

    Args:
        path: a path; `~` is the operator's home.

    Returns:
        The absolute path, its `..` left alone.
    """
    return str(Path.cwd() / Path(path).expanduser())


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by the name templates call them."""
        return {"typed": askfleet_typed}

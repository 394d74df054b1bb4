"""The links that say what is served: ``current`` and ``previous`` in a role's directory.

The symlinks are the state. Nothing here looks at modification times.
"""

from __future__ import annotations

import logging
from pathlib import Path

from app.errors import GenerationError

LINKS = ("current", "previous")

log = logging.getLogger(__name__)


def linked(links: Path, name: str) -> Path | None:
    """The directory that link ``name`` in ``links`` names, or None where there is no link.

    Raises: GenerationError when the link's target does not exist.
    """
    link = links / name
    if not link.is_symlink():
        return None
    target = link.resolve()
    if not target.is_dir():
        raise GenerationError(f"{link} points to {target}, which does not exist")
    return target


def served(links: Path) -> dict[str, Path]:
    """The targets to serve: ``current`` always, ``previous`` where it is another directory.

    A ``previous`` that leads nowhere is left out: it must not keep ``current`` from being served.

    Raises: GenerationError when there is no ``current``, or it leads nowhere.
    """
    current = linked(links, "current")
    if current is None:
        raise GenerationError(f"{links}/current does not exist: run update_index.yml first")
    try:
        previous = linked(links, "previous")
    except GenerationError as error:
        log.warning("the previous one is not served: %s", error)
        previous = None
    if previous is None or previous == current:
        return {"current": current}
    return {"current": current, "previous": previous}

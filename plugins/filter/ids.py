"""Filters that read the ids of documents as an operator gives them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.generation.withdrawn import fault

FORMS = 'write it in quotes, as in -e \'{"ids": ["17", "a,b"]}\''


def askfleet_ids(ids: object, file: str = "") -> list[str]:
    """Read the ids that were asked for, each once; what C(askfleet_no_ids) refuses is left out.

    Args:
        ids: as `-e ids=` gives them: a text with commas between them, or a list.
        file: a path of a file with one id a line, or nothing.

    Returns:
        The ids, in order.
    """
    lines, _ = _lines(file)
    texts = [str(one).strip() for one in [*_given(ids), *lines] if _is_text(one)]
    return list(dict.fromkeys(filter(None, texts)))


def askfleet_no_ids(ids: object, file: str = "") -> list[str]:
    """Say what is wrong with the ids that were asked for, and what an id is.

    Args:
        ids: as of `askfleet_ids`.
        file: as of `askfleet_ids`.

    Returns:
        One line for each; none where nothing is.
    """
    odd = [f"{json.dumps(one)} is no id: {FORMS}" for one in _given(ids) if not _is_text(one)]
    _, unread = _lines(file)
    wrong = [one for one in askfleet_ids(ids, file) if fault(one)]
    return odd + unread + [f"{one[:60]!r} is no id: {fault(one)}" for one in wrong]


def _given(ids: object) -> list[Any]:
    if isinstance(ids, str):
        return ids.split(",")
    return list(ids) if isinstance(ids, Sequence) else [ids]


def _is_text(one: object) -> bool:
    """A whole number is read as it was written; `true`, `null` and 1.0 may have been."""
    return isinstance(one, str) or (isinstance(one, int) and not isinstance(one, bool))


def _lines(file: str) -> tuple[list[str], list[str]]:
    """The lines of a file, with or without a byte order mark, or why there are none."""
    try:
        return (Path(file).read_text(encoding="utf-8-sig").splitlines() if file else []), []
    except OSError as error:
        return [], [f"-e ids_file: {file}: {error.strerror}"]
    except UnicodeDecodeError as error:
        return [], [f"-e ids_file: {file}: not UTF-8, from byte {error.start} on"]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by the name templates call them."""
        return {"ids": askfleet_ids, "no_ids": askfleet_no_ids}

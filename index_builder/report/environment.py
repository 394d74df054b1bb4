"""How pages are rendered: everything that comes from outside is escaped, and cannot turn a line."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

# Characters that turn the direction of what follows them.
TURNING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def new_environment(*directories: Path) -> Environment:
    """Templates of these directories; of two with one name the first counts."""
    return Environment(
        loader=FileSystemLoader(directories),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )


def _clean(value: object) -> object:
    """Texts without what HTML forbids or what would turn the text around them."""
    if type(value) is not str:  # markup of the templates' own
        return value
    return "".join(map(_mark, value))


def _mark(mark: str) -> str:
    if mark in "\t\n\r":
        return " "
    return "\ufffd" if mark in TURNING or unicodedata.category(mark) in ("Cc", "Cs") else mark

"""Errors in one line, for people."""

from __future__ import annotations

import os
import sqlite3
import traceback
from pathlib import Path

from app.errors import AskfleetError


def described(error: Exception) -> str:
    """An error in one line: what a person can mend, or where this program is at fault."""
    match error:
        case AskfleetError():
            return str(error)
        case OSError(filename=str() | bytes() as name, strerror=str(why)):
            return f"{os.fsdecode(name)}: {why}"
        case MemoryError():
            return "not enough memory: use fewer --processes, or a machine with more"
        case sqlite3.Error() | OSError():
            return f"{type(error).__name__}: {error}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"unexpected {type(error).__name__} in {Path(place.filename).name}:{place.lineno}: "
        f"{' '.join(str(error).split())} (--traceback before the command shows more)"
    )

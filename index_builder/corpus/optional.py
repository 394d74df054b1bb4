"""Packages of the extra `tables`, imported where a file needs one."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from app.errors import CorpusError


def optional(module: str, package: str, path: Path) -> Any:
    """Import a module; raises CorpusError naming the package that `path` needs."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise CorpusError(
            f"{path}: reading it needs the package {package}: .venv/bin/pip install {package}"
        ) from error

"""Settings of every suite."""

import sysconfig
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run: a red run is then about the change, not about the dice. To roll
# them, and more of them: pytest --hypothesis-profile=search
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile("same")

ROOT = Path(__file__).resolve().parents[1]
COLLECTION = "ansible_collections/askfleet/fleet"


def pytest_sessionstart() -> None:
    """Refuse to test another tree's plugins: a copied .venv still has the link of its origin."""
    for parent in (ROOT / "var/collections", Path(sysconfig.get_path("purelib"))):
        link = parent / COLLECTION
        if link.resolve() != ROOT:
            there = link.readlink() if link.is_symlink() else "missing"
            pytest.exit(f"{link} is not this tree but {there}: run `make setup`", returncode=4)

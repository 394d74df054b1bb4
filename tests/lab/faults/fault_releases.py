"""Other versions of the application: a copy of its sources, changed, with a site.yml of its own."""

import shutil
from pathlib import Path

from lab_plays import REPO, Play, play

HOME = REPO / "var/test/releases"
SOURCES = ("app", "meta", "playbooks", "plugins", "roles", "templates", "pyproject.toml")
FILES = ("README.md", "LICENSE", "galaxy.yml", "requirements-host.txt", "site.yml")
BROKEN = 'raise GenerationError("this release is broken")'


def version(name: str, *, broken: bool = False) -> Path:
    """Make a copy of the repository's sources with another version; a broken one has no gateway."""
    target = HOME / name
    shutil.rmtree(target, ignore_errors=True)
    for source in (*SOURCES, *FILES):
        path = REPO / source
        (target / source).parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(path, target / source) if path.is_dir() else shutil.copy2(
            path, target / source
        )
    # Beside the playbook Ansible looks first: the copy runs with its own plugins.
    collection = target / "collections/ansible_collections/askfleet/fleet"
    collection.parent.mkdir(parents=True)
    collection.symlink_to(target)
    _replace(target / "app/__init__.py", '__version__ = "', f'__version__ = "{name}.')
    if broken:
        begins = "    fleet = backend or Upstream("
        _replace(target / "app/gateway/__init__.py", begins, f"    {BROKEN}\n{begins}")
    return target


def roll_out(sources: Path) -> Play:
    """Run site.yml of a copy, with the wheels that the repository has already."""
    return play(str(sources / "site.yml"), "-e", f"askfleet_build_dir={REPO / 'var'}")


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path} has {text.count(old)} times {old!r}"
    path.write_text(text.replace(old, new), encoding="utf-8")

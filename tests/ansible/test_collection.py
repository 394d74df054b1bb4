"""This tree is the collection askfleet.fleet: it is built, installed, and used by full names."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from ansible_sources import ROOT

import app

BIN = Path(sys.executable).parent
GALAXY = yaml.safe_load((ROOT / "galaxy.yml").read_text())
NAME = f"{GALAXY['namespace']}.{GALAXY['name']}"
MODULES = sorted((ROOT / "plugins/modules").glob("*.py"))

pytestmark = pytest.mark.slow  # ansible-galaxy and ansible-doc, about a second each


def run(*command: str | Path, cwd: Path, **settings: str | Path) -> str:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}
    environ |= {name: str(value) for name, value in settings.items()}
    done = subprocess.run(
        [BIN / command[0], *command[1:]],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tracked() -> set[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.splitlines() if (ROOT / name).exists()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built")
    run("ansible-galaxy", "collection", "build", "--output-path", out, cwd=ROOT)
    (archive,) = out.iterdir()
    return archive


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of collections that has this one alone."""
    where = tmp_path_factory.mktemp("installed")
    how = [
        "--force",
        "--no-deps",
        "--offline",
        "--collections-path",
        where,
    ]
    run("ansible-galaxy", "collection", "install", built, *how, cwd=where)
    return where


def test_its_version_is_that_of_the_services() -> None:
    assert GALAXY["version"] == app.__version__


def test_the_archive_has_what_is_tracked_and_nothing_made(built: Path) -> None:
    with tarfile.open(built) as archive:
        names = {member.name for member in archive if not member.isdir()}
    folders = ("app", "client", "docs", "index_builder", "inventory", "meta", "playbooks")
    folders += ("plugins", "roles", "templates")
    wanted = {name for name in tracked() if name.startswith(tuple(f"{one}/" for one in folders))}
    assert wanted - names == set()
    assert names - tracked() == {"MANIFEST.json", "FILES.json"}
    assert {name for name in names if name.startswith(("tests/", "var/", "."))} == set()


def test_what_is_installed_is_found_by_its_full_name(installed: Path) -> None:
    home = installed / "ansible_collections/askfleet/fleet/plugins/modules"
    names = [f"{NAME}.{module.stem}" for module in MODULES]
    shown = run("ansible-doc", *names, cwd=installed, ANSIBLE_COLLECTIONS_PATH=installed)
    assert [m.name for m in MODULES if f"({home}/{m.name})" not in shown] == []


def test_make_setup_makes_it_found_from_any_directory(tmp_path: Path) -> None:
    shown = run("ansible-doc", "--metadata-dump", "--no-fail-on-errors", NAME, cwd=tmp_path)
    assert f'"{NAME}.look"' in shown

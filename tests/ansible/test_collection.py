"""This tree is the collection askfleet.fleet: it is built, installed, and used by full names."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest
import yaml
from ansible_sources import ROOT, Run

import app

BIN = Path(sys.executable).parent
GALAXY = yaml.safe_load((ROOT / "galaxy.yml").read_text())
NAME = f"{GALAXY['namespace']}.{GALAXY['name']}"
MODULES = sorted((ROOT / "plugins/modules").glob("*.py"))

HERE = "ansible_collections/askfleet/fleet"
SITE = sysconfig.get_path("purelib")
BOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - askfleet.fleet.look: {services: [], data_dir: /x, install_dir: /x, state_dir: /x, nginx: /x}
      register: seen
    - debug:
        msg: "{{ ['10.0.0.1', '::1'] | askfleet.fleet.family(4) }}, {{ seen.look.disk.free > 0 }}"
"""

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
    folders = ("app", "client", "docs", "index_builder", "meta", "playbooks", "plugins")
    folders += ("roles", "templates")
    wanted = {name for name in tracked() if name.startswith(tuple(f"{one}/" for one in folders))}
    assert wanted - names == set()
    assert names - tracked() == {"MANIFEST.json", "FILES.json"}
    assert {
        name for name in names if name.startswith(("inventory/", "tests/", "var/", "."))
    } == set()


def test_what_is_installed_is_found_by_its_full_name(installed: Path) -> None:
    home = installed / HERE / "plugins/modules"
    names = [f"{NAME}.{module.stem}" for module in MODULES]
    shown = run("ansible-doc", *names, cwd=installed, ANSIBLE_COLLECTIONS_PATH=installed)
    assert [m.name for m in MODULES if f"({home}/{m.name})" not in shown] == []


def test_make_setup_makes_it_found_from_any_directory(tmp_path: Path) -> None:
    shown = run("ansible-doc", f"{NAME}.look", cwd=tmp_path)
    assert f"({SITE}/{HERE}/plugins/modules/look.py)" in shown


@pytest.mark.parametrize("where", ["linked", "installed"])
def test_its_playbooks_run_by_their_full_names(
    play: Run, tmp_path: Path, installed: Path, where: str
) -> None:
    """As far as they do without hosts: the callback beside them reads their roles."""
    paths = {"ANSIBLE_COLLECTIONS_PATH": str(installed if where == "installed" else tmp_path)}
    given = ["-i", f"{ROOT}/inventory/lab", "-e", "allow_lost_host=1"]
    done = play(f"{NAME}.status", *given, cwd=tmp_path, ANSIBLE_CALLBACK_PLUGINS="", **paths)
    assert done.returncode == 5, done.stdout + done.stderr
    assert "-e allow_lost_host: status.yml has no such variable" in done.stderr


def test_a_playbook_does_not_run_with_the_plugins_of_another_tree(
    play: Run, installed: Path
) -> None:
    done = play("status.yml", "-e", "x=1", ANSIBLE_COLLECTIONS_PATH=str(installed))
    assert done.returncode == 5, done.stdout + done.stderr
    assert f"collection askfleet.fleet in {installed}/{HERE}: run `make setup`" in done.stderr
    assert "PLAY [" not in done.stdout


def test_filters_and_modules_do_without_a_role(play: Run, tmp_path: Path) -> None:
    (tmp_path / "book.yml").write_text(BOOK)
    python = f"ansible_python_interpreter={sys.executable}"
    done = play("-i", "localhost,", "-e", python, tmp_path / "book.yml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "['10.0.0.1'], True" in done.stdout, done.stdout

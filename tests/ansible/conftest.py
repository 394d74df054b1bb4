"""What the Ansible tests share."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_sources import ROOT, Run
from fake_host import FakeHost
from internal_tls_plays import Make


@pytest.fixture(scope="session")
def specs() -> dict[str, dict[str, object]]:
    text = (ROOT / "roles/askfleet/meta/argument_specs.yml").read_text()
    options: dict[str, dict[str, object]] = yaml.safe_load(text)["argument_specs"]["inventory"][
        "options"
    ]
    return options


@pytest.fixture(scope="session")
def play() -> Run:
    """Run ansible-playbook, in the repository and without the caller's settings unless named."""

    def run(
        *arguments: str | Path, cwd: Path = ROOT, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        environ = {
            k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "ASKFLEET_"))
        }
        # A playbook of a test lies elsewhere, not beside the plugins.
        callbacks = str(ROOT / "playbooks/callback_plugins")
        environ |= {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_PLUGINS": callbacks, **settings}
        return subprocess.run(
            [Path(sys.executable).parent / "ansible-playbook", *arguments],
            cwd=cwd,
            env=environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHost]:
    """A host whose programs come first on PATH, and whose waits are short."""
    restart = importlib.import_module(
        "ansible_collections.askfleet.fleet.plugins.module_utils.restart"
    )
    monkeypatch.setattr(restart, "DRAIN", 0.01)
    monkeypatch.setattr(restart, "POLL", 0.01)
    found = FakeHost(tmp_path / "host")
    monkeypatch.setenv("PATH", f"{found.root / 'bin'}:{os.environ['PATH']}")
    yield found
    found.close()


@pytest.fixture
def make(play: Run, tmp_path: Path) -> Make:
    """Run the role internal_tls for one host of the lab's inventory, below a directory."""

    def run(*more: str, **variables: object) -> subprocess.CompletedProcess[str]:
        given = {
            "askfleet_source_dir": str(ROOT),
            "askfleet_ca_dir": str(tmp_path / "ca"),
            "askfleet_config_dir": str(tmp_path / "etc"),
            "internal_tls_dir": str(tmp_path / "host"),
            "internal_tls_group": os.getgid(),
            **variables,
        }
        book = "tests/ansible/internal_tls.yml"
        return play("-i", "inventory/lab", "-e", json.dumps(given), *more, book)

    return run

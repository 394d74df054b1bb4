"""The fleet's own CA and its certificates, made, kept, renewed and replaced by the role itself."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_sources import ROOT, Run

from app.tls import Identity

DAY = 86400
PEM = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
Make = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.slow  # a play each


@pytest.fixture
def make(play: Run, tmp_path: Path) -> Make:
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


def changed(done: subprocess.CompletedProcess[str]) -> int:
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"shard-a .*changed=(\d+)", done.stdout)
    assert found
    return int(found[1])


def days_left(host: Path) -> float:
    """Until the certificate ends; an identity reads it only where it proves who the host is."""
    return (Identity(host).expires() - time.time()) / DAY


def test_a_host_gets_a_certificate_that_is_kept_until_it_ends_soon(
    make: Make, tmp_path: Path
) -> None:
    host, ca = tmp_path / "host", tmp_path / "ca"
    assert changed(make("--check")) == 0  # there is no CA yet, and none is made
    assert not ca.exists()
    done = make()
    assert changed(done)
    assert "PRIVATE KEY" not in done.stdout
    assert 364 < days_left(host) <= 365
    assert (host / "host.key").stat().st_mode & 0o777 == 0o640
    assert (ca / "ca.key").stat().st_mode & 0o777 == 0o600
    assert ca.stat().st_mode & 0o777 == 0o700
    names = _names(host / "host.pem")
    assert names == {
        ("DNS", "shard.askfleet.internal"),
        ("IP Address", "198.18.0.31"),
    }
    assert changed(make()) == 0
    assert changed(make(internal_tls_renew_days=370)) > 0  # it ends in 365
    before = (host / "host.pem").read_text()
    assert changed(make(internal_tls_renew=True, internal_tls_days=20)) > 0
    assert (host / "host.pem").read_text() != before
    assert 19 < days_left(host) <= 20


def _names(certificate: Path) -> set[tuple[str, str]]:
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", certificate],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.findall(r"(DNS|IP Address):([^,\s]+)", shown)
    return {(kind, name) for kind, name in found}


def test_another_ca_is_trusted_beside_the_one_before(make: Make, tmp_path: Path) -> None:
    host = tmp_path / "host"
    make().check_returncode()
    first = PEM.findall((host / "ca.pem").read_text())
    before = Identity(host)
    make(internal_tls_new_ca=True).check_returncode()
    both = PEM.findall((host / "ca.pem").read_text())
    assert len(both) == 2
    assert both[1:] == first
    days_left(host)
    # A host that was not reached trusts the first alone, and is still trusted.
    old = ssl.create_default_context(cadata=both[1])
    assert len(old.get_ca_certs()) == 1
    assert before.server() is not None
    assert changed(make()) == 0


@pytest.mark.parametrize(
    ("runs", "wanted", "refused"),
    [
        ("", "require", False),  # no service yet
        ("none", "require", True),
        ("none", "allow", False),
        ("require", "none", True),
        ("allow", "none", False),
    ],
)
def test_a_running_fleet_goes_one_step_at_a_time(
    make: Make, tmp_path: Path, runs: str, wanted: str, *, refused: bool
) -> None:
    if runs:
        line = "" if runs == "none" else f"ASKFLEET_TLS={runs}\n"
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/shard-0.env").write_text(f"ASKFLEET_HOST=shard-a\n{line}")
    done = make("--check", askfleet_internal_tls=wanted)
    assert (done.returncode != 0) == refused, done.stdout
    if refused:
        assert f"This fleet runs with askfleet_internal_tls: {runs}." in " ".join(
            done.stdout.split()
        )

"""The fleet's own CA and its certificates, made, kept, renewed and replaced by the role itself."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from ansible_sources import ROOT, Run
from certificates import CA
from internal_tls_plays import Make, changed, days_left

pytestmark = pytest.mark.slow  # a play each


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


@pytest.mark.parametrize("mode", ["none", "allow", "prefer", "require"])
def test_callers_and_services_are_configured_for_the_step(
    mode: str, play: Run, tmp_path: Path
) -> None:
    """nginx itself judges its configuration, with certificates as the role makes them."""
    files = CA().write(tmp_path / "tls", "gateway")
    given = {
        "render_host": "gateway-2",  # an edge, too
        "render_to": str(tmp_path),
        "render_templates": [{"src": "env/service.env.j2", "end": ".env"}],
        "askfleet_source_dir": str(ROOT),
        "askfleet_internal_tls": mode,
        "nginx_internal_tls_dir": str(files),
    }
    done = play("-i", "inventory/lab", "-e", json.dumps(given), "tests/ansible/render.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    settings = (tmp_path / "gateway.env").read_text()
    assert (f"\nASKFLEET_TLS={mode}\n" in settings) == (mode != "none")
    config = (tmp_path / "nginx.conf").read_text()
    schemes = set(re.findall(r"proxy_pass (\w+)://", config))
    encrypted = mode in {"prefer", "require"}
    assert schemes == {"https" if encrypted else "http"}
    names = set(re.findall(r"proxy_ssl_name (\w+)\.askfleet\.internal;", config))
    assert names == ({"gateway", "encoder", "shard"} if encrypted else set())
    assert ("proxy_ssl_verify on;" in config) == encrypted


def test_prometheus_asks_in_tls(play: Run, tmp_path: Path) -> None:
    given = {
        "render_host": "edge-1",
        "render_to": str(tmp_path),
        "render_templates": [],
        "askfleet_source_dir": str(ROOT),
        "askfleet_internal_tls": "require",
        "nginx_internal_tls_dir": str(CA().write(tmp_path / "tls")),
    }
    done = play("-i", "inventory/lab", "-e", json.dumps(given), "tests/ansible/render.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    config = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    jobs = {one["job_name"]: one for one in config["scrape_configs"]}
    assert jobs["askfleet"]["scheme"] == "https"
    assert "scheme" not in jobs["node"]

"""What `make audit` makes of the answers of the real pip-audit, which asks a service made here."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from audit import EXCEPTIONS, advisories, judge, main, read_exceptions

# As the OSV database answers about this version, shortened.
OLD_REQUESTS = {
    "vulns": [
        {
            "id": "PYSEC-2018-28",
            "aliases": ["CVE-2018-18074", "GHSA-x84v-xcm2-53pg"],
            "details": "The Requests package before 2.20.0 sends an HTTP Authorization header …",
            "affected": [
                {
                    "package": {"name": "requests", "ecosystem": "PyPI"},
                    "ranges": [
                        {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.20.0"}]}
                    ],
                }
            ],
        }
    ]
}
# What pip-audit 2.10 prints behind a mirror of PyPI that has packages and no advisories.
SKIPPED = {"name": "anyio", "skip_reason": "Dependency not found on PyPI and could not be audited"}
CLEAN = {"name": "idna", "version": "3.20", "vulns": []}


class Advisories(BaseHTTPRequestHandler):
    """Knows one vulnerability of requests."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = OLD_REQUESTS if asked["package"]["name"] == "requests" else {}
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture(scope="module")
def service() -> Iterator[list[str]]:
    """Options that send pip-audit to a service on this machine."""
    with HTTPServer(("127.0.0.1", 0), Advisories) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield [
            "--vulnerability-service",
            "osv",
            "--osv-url",
            f"http://127.0.0.1:{server.server_port}",
        ]
        server.shutdown()


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text("requests==2.0.0\nidna==3.20\n")
    return path


def exceptions(tmp_path: Path, **change: Any) -> Path:
    until = datetime.now(UTC).date() + timedelta(days=change.pop("days", 1))
    entry = {"id": '"CVE-2018-18074"', "package": '"Requests"', "why": '"a test"', "until": until}
    path = tmp_path / "exceptions.toml"
    lines = "\n".join(f"{name} = {value}" for name, value in (entry | change).items())
    path.write_text(f"[[exception]]\n{lines}\n")
    return path


@pytest.fixture
def none(tmp_path: Path) -> Path:
    path = tmp_path / "none.toml"
    path.touch()
    return path


@pytest.mark.slow
def test_a_finding_fails_and_names_package_and_fix(requirements, service, none, capsys) -> None:
    assert main([str(requirements), *service], none) == 1
    told = capsys.readouterr().out
    assert "requests 2.0.0: PYSEC-2018-28: fixed in 2.20.0: The Requests package" in told


@pytest.mark.slow
def test_an_exception_is_accepted_by_any_of_its_names_and_said(
    requirements, service, tmp_path, capsys
) -> None:
    assert main([str(requirements), *service], exceptions(tmp_path)) == 0
    assert "accepted until" in capsys.readouterr().out


@pytest.mark.slow
def test_the_last_day_passes_and_the_next_does_not(requirements, service, tmp_path, capsys) -> None:
    assert main([str(requirements), *service], exceptions(tmp_path, days=0)) == 0
    assert main([str(requirements), *service], exceptions(tmp_path, days=-1)) == 1
    assert "CVE-2018-18074 of Requests was accepted until" in capsys.readouterr().out


@pytest.mark.parametrize("change", [{"id": '"CVE-1"'}, {"package": '"idna"'}])
@pytest.mark.slow
def test_an_exception_is_for_its_own_package_and_fault(
    requirements, service, tmp_path, change
) -> None:
    assert main([str(requirements), *service], exceptions(tmp_path, **change)) == 1


def test_nothing_found_is_said(tmp_path, service, none, capsys) -> None:
    good = tmp_path / "good.txt"
    good.write_text("idna==3.20\n")
    assert main([str(good), *service], none) == 0
    assert "no known vulnerability in" in capsys.readouterr().out


@pytest.mark.slow
def test_a_service_out_of_reach_passes_loudly(requirements, none, tmp_path, capsys) -> None:
    nobody = ["--vulnerability-service", "osv", "--osv-url", "http://127.0.0.1:9/"]
    assert main([str(requirements), *nobody], none) == 0
    assert "NOT AUDITED: no advisory service in reach" in capsys.readouterr().out
    assert main([str(requirements), *nobody], exceptions(tmp_path, days=-1)) == 1


def test_requirements_that_cannot_be_read_fail(tmp_path, service) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_text("requests>=2\n")
    with pytest.raises(SystemExit, match=r"pip-audit failed on bad\.txt: ERROR.*requests>=2"):
        advisories(bad, *service)


def test_what_alone_is_unknown_is_said_and_hides_no_finding() -> None:
    fault = {"id": "PYSEC-1", "fix_versions": [], "aliases": [], "description": "bad"}
    told = {"dependencies": [SKIPPED, CLEAN, {**CLEAN, "vulns": [fault]}], "fixes": []}
    assert judge(told, []) == (
        ["idna 3.20: PYSEC-1: fixed in no version yet: bad"],
        [f"not audited: {SKIPPED['skip_reason']}"],
    )


def test_a_service_that_knows_no_package_is_none(monkeypatch, requirements, none, capsys) -> None:
    answer = json.dumps({"dependencies": [SKIPPED, SKIPPED], "fixes": []})
    done = type("Done", (), {"stdout": answer, "stderr": "No known vulnerabilities found"})
    monkeypatch.setattr("audit.subprocess.run", lambda *_, **__: done)
    assert main([str(requirements)], none) == 0
    assert (
        "NOT AUDITED: no advisory service in reach (it knows none of 2" in capsys.readouterr().out
    )


@pytest.mark.parametrize("change", [{"until": '"soon"'}, {"why": '" "'}, {"whi": '""'}])
def test_an_exception_that_is_not_whole_is_named(tmp_path, change) -> None:
    with pytest.raises(SystemExit, match=r"exceptions\.toml: .*until"):
        read_exceptions(exceptions(tmp_path, **change))


def test_the_projects_exceptions_are_whole() -> None:
    read_exceptions(EXCEPTIONS)


def test_hosts_install_only_what_has_the_locks_hashes() -> None:
    root = EXCEPTIONS.parent
    lock = (root / "requirements-host.txt").read_text().replace("\\\n", " ")
    pins = [line for line in lock.splitlines() if line and not line.lstrip().startswith("#")]
    assert len(pins) > 10
    assert [line[:40] for line in pins if "==" not in line or "--hash=sha256:" not in line] == []
    for tasks in ("release/tasks/main.yml", "release_bundle/tasks/wheelhouse.yml"):
        assert "--require-hashes" in (root / "roles" / tasks).read_text()

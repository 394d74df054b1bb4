"""HTTPS and keys on real hosts: a certificate that ends soon, another one, and plain HTTP again."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from lab_hosts import EDGES, GATEWAYS, HOSTS, NAMESPACE, run_on
from lab_plays import SUBNET, URL, play
from lab_prometheus import firing, values, wait

KEY = "a-key-of-the-tests"
KEYS = [{"name": "tests", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]
ADDRESSES = [f"{SUBNET}.{HOSTS[host][0]}" for host in EDGES]
DAY = 86400


@pytest.fixture(scope="module", autouse=True)
def _plain_again() -> Iterator[None]:
    yield
    play("site.yml").succeeded()
    assert requests.get(f"{URL}/v1/search?q=a", timeout=10).status_code == 200
    for address in ADDRESSES:
        assert ask(f"https://{address}/livez", "--insecure")[0] == 0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's own, for ten more days."""
    made = tmp_path_factory.mktemp("certificate") / "fleet.pem"
    names = ",".join(f"IP:{address}" for address in [f"{SUBNET}.9", *ADDRESSES])
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "10"]
    about = ["-subj", "/CN=fleet", "-addext", f"subjectAltName={names}"]
    files = ["-out", made, "-keyout", made.with_suffix(".key")]
    subprocess.run([*command, *about, *files], check=True, capture_output=True)
    return made


def ask(url: str, *options: str) -> tuple[int, str]:
    """Status and head of an answer, asked in the hosts' network; status 0 where there is none."""
    curl = ["curl", "--silent", "--max-time", "10", "--dump-header", "-", "--output", "/dev/null"]
    done = subprocess.run(
        ["nsenter", f"--net={NAMESPACE}", *curl, *options, url], capture_output=True, text=True
    )
    head = done.stdout.lower()
    return (int(head.split()[1]) if head else 0), head


def test_ones_own_certificate_and_keys(certificate, tell):
    tls = {"askfleet_tls": "files", "askfleet_tls_certificate": str(certificate)}
    wanted = {**tls, "askfleet_tls_key": str(certificate.with_suffix(".key"))}
    done = play("site.yml", "-e", json.dumps({**wanted, "askfleet_api_keys": KEYS})).succeeded()
    assert KEY not in done.output
    assert KEYS[0]["sha256"] not in done.output
    for address in [f"{SUBNET}.9", *ADDRESSES]:
        trusted = ("--cacert", str(certificate))
        url = f"https://{address}/v1/search?q=a"
        assert ask(url, *trusted)[0] == 401
        assert ask(url, *trusted, "--header", "X-API-Key: another")[0] == 403
        status, head = ask(url, *trusted, "--header", f"X-API-Key: {KEY}")
        assert status == 200
        assert "strict-transport-security: max-age=" in head
        status, head = ask(f"http://{address}/v1/search?q=a")
        assert (status, f"location: {url}" in head) == (308, True)
    wanted_alerts = {f"CertificateExpires http://{address}:80/readyz" for address in ADDRESSES}
    tell(f"alert after {wait(lambda: firing() == wanted_alerts):.1f} s")


def test_keys_are_for_root_alone():
    for host in GATEWAYS:
        file = "/etc/askfleet/api_keys"
        assert run_on(host, "stat", "--format=%a %U", file) == "600 root\n"
        pid = run_on(host, "systemctl", "show", "--value", "-p", "MainPID", "askfleet-gateway")
        for place in ("environ", "cmdline"):
            shown = run_on(host, "cat", f"/proc/{pid.strip()}/{place}")
            assert shown
            assert KEYS[0]["sha256"] not in shown


@pytest.mark.long
def test_another_certificate_ends_the_alert(tmp_path, tell):
    made = tmp_path / "edge"
    extra = ["-e", "askfleet_tls=self-signed", "-e", f"nginx_tls_made={made}"]
    play("site.yml", *extra).succeeded()
    for address in ADDRESSES:
        assert ask(f"https://{address}/v1/search?q=a", "--cacert", f"{made}.pem")[0] == 200
    tell(f"alert ended after {wait(lambda: not firing()):.1f} s")
    ends = [end for _, end in values("probe_ssl_earliest_cert_expiry - time()")]
    assert len(ends) == len(EDGES)
    assert min(ends) > 3000 * DAY

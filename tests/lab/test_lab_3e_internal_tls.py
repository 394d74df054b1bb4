"""TLS between hosts: step by step on and off under load, renewed under load, closed to others."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from lab_hosts import HOSTS, NAMESPACE, address, host_processes, root, run_on
from lab_plays import URL, Play, play
from lab_prometheus import firing, values, wait

WIRE = Path(__file__).with_name("lab_wire.py")
GATEWAY, ENCODER, SHARDS = 7000, 7100, {7200, 7201, 7202, 7203}
TLS = "/etc/askfleet-tls"


def site(mode: str) -> Play:
    """Go one step."""
    return play("site.yml", "-e", f"askfleet_internal_tls={mode}")


def certificates(*more: str) -> Play:
    """Renew what is due, or what `more` says."""
    extra = [part for one in more for part in ("-e", one)]
    return play("certificates.yml", "-e", "askfleet_internal_tls=require", *extra)


@pytest.fixture(scope="module", autouse=True)
def _plain_again() -> Iterator[None]:
    yield
    runs = run_on("gateway-1", "sh", "-c", "grep ^ASKFLEET_TLS= /etc/askfleet/gateway.env || true")
    steps = ["none", "allow", "prefer", "require"]
    for mode in reversed(steps[: steps.index(runs.strip().partition("=")[2] or "none")]):
        site(mode).succeeded()


def seen_on_the_wire(text: str) -> set[int]:
    """Ports of services to or from which a question, or its id, went for everybody to read."""
    command = ["nsenter", f"--net={NAMESPACE}", sys.executable, str(WIRE), text, "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listening:
        assert listening.stdout is not None
        assert listening.stdout.readline() == "listening\n"
        for question in (f"{text} one", f"{text} {'much longer ' * 100}"):  # a link, a pool
            asked, named = {"queries": [question], "k": 3}, {"X-Request-ID": text}
            answer = requests.post(f"{URL}/v1/search", json=asked, headers=named, timeout=10)
            assert answer.status_code == 200
        found = set(json.loads(listening.stdout.readline()))
    assert found, "the edge was asked in plain HTTP, or nobody listens"
    return found & {GATEWAY, ENCODER, *SHARDS}


def inside(host: str, *command: str) -> str:
    """What a program of this machine prints in a host's network; its files are this machine's."""
    _, init = host_processes(host)
    full = ["nsenter", f"--target={init}", "--net", "--", *command]
    return subprocess.run(
        full, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    ).stdout


def own(host: str) -> tuple[str, ...]:
    """Options of curl: a host's own certificate, and the CA that it trusts."""
    tls = f"{root(host)}{TLS}"
    files = f"--cacert {tls}/ca.pem --cert {tls}/host.pem --key {tls}/host.key"
    return tuple(files.split())


def curl(host: str, target: str, *how: str) -> str:
    """The status that a host gets from a service, 000 for none."""
    command = "curl --silent --output /dev/null --max-time 5 --write-out %{http_code}"
    return inside(host, *command.split(), *how, target)


def test_a_running_fleet_goes_one_step_at_a_time():
    done = site("require")
    done.failed(
        "runs with askfleet_internal_tls: none", "one step at a time", "Nothing was changed"
    )
    assert not any(counts["changed"] for counts in done.recap.values())


@pytest.mark.long
def test_on_step_by_step_under_load(fleet, tell, tell_load):
    before = seen_on_the_wire("zebra-crossings-before")
    assert before >= {GATEWAY, ENCODER}
    assert before & SHARDS
    with fleet.load(fleet.now, reloads=True) as load:
        seconds = [site(mode).succeeded().seconds for mode in ("allow", "prefer", "require")]
    tell(f"site.yml {', '.join(f'{one:.0f} s' for one in seconds)}")
    tell_load(load)
    site("require").changed_nothing()
    assert seen_on_the_wire("zebra-crossings-after") == set()


@pytest.mark.long
def test_nobody_without_a_certificate_of_the_fleet_is_answered(tmp_path):
    shard = address("shard-a")
    assert curl("gateway-1", f"https://{shard}:7200/livez", *own("gateway-1")) == "200"
    assert curl("gateway-1", f"http://{shard}:7200/livez") == "000"
    assert curl("gateway-1", f"https://{shard}:7200/livez", "--insecure") == "000"
    made = f"{tmp_path}/other"
    about = ["-subj", "/CN=gateway-1", "-addext", "subjectAltName=DNS:gateway.askfleet.internal"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
    files = ["-out", f"{made}.pem", "-keyout", f"{made}.key"]
    command = ["openssl", "req", "-x509", *key, *about, *files]
    subprocess.run(command, check=True, capture_output=True)
    other = ("--insecure", "--cert", f"{made}.pem", "--key", f"{made}.key")
    assert curl("gateway-1", f"https://{shard}:7200/livez", *other) == "000"
    assert curl("shard-a", "http://127.0.0.1:7200/livez") == "200"
    assert curl("edge-1", f"http://{address('gateway-1')}:7000/livez") == "000"


@pytest.mark.long
def test_keys_are_for_root_and_the_services():
    for host in HOSTS:
        assert run_on(host, "stat", "--format=%a %U %G", f"{TLS}/host.key").split() == [
            "640",
            "root",
            "askfleet-tls",
        ]


@pytest.mark.long
def test_an_update_and_a_kill_in_between(fleet, tell_load):
    before, letter = fleet.now, fleet.other()
    with fleet.load(before, letter, reloads=True) as load:
        run_on("shard-a", "systemctl", "kill", "--signal=KILL", "askfleet-shard@0")
        fleet.update(letter, "askfleet_internal_tls=require").succeeded()
        run_on("gateway-1", "systemctl", "kill", "--signal=KILL", "askfleet-gateway")
        wait(lambda: curl("gateway-1", "http://127.0.0.1:7000/readyz") == "200")
    tell_load(load)


@pytest.mark.long
def test_everything_is_watched_over_tls():
    wait(lambda: all(value == 1 for _, value in values("up")))
    ends = values("askfleet_certificate_expires_timestamp_seconds - time()")
    assert {labels["host"] for labels, _ in ends} == set(HOSTS)
    assert all(360 < end / 86400 <= 365 for _, end in ends)


@pytest.mark.long
def test_certificates_that_end_soon_fire_an_alert_and_are_renewed_under_load(
    fleet, tell, tell_load
):
    certificates().changed_nothing()
    soon = ("internal_tls_days=10", "internal_tls_renew_days=5", "internal_tls_renew=true")
    certificates(*soon).succeeded()
    fired = wait(lambda: any(alert.startswith("HostCertificateExpires") for alert in firing()))
    with fleet.load(fleet.now, reloads=True) as load:
        renewed = certificates().succeeded()
        another = certificates("internal_tls_new_ca=true").succeeded()
        # Connections of before end, and others begin.
        run_on("shard-a", "systemctl", "restart", "askfleet-shard@0")
        run_on("gateway-1", "systemctl", "restart", "askfleet-gateway")
    ended = wait(lambda: not firing())
    tell(f"alert after {fired:.0f} s, ended after {ended:.0f} s")
    tell(f"renewed in {renewed.seconds:.0f} s, another CA in {another.seconds:.0f} s")
    tell_load(load)
    certificates().changed_nothing()
    tls = f"{root('gateway-1')}{TLS}"
    connect = ["openssl", "s_client", "-connect", f"{address('shard-d')}:7203"]
    shown = inside("gateway-1", *connect, "-cert", f"{tls}/host.pem", "-key", f"{tls}/host.key")
    certificate = (root("shard-d") / TLS[1:] / "host.pem").read_text()
    assert certificate.strip() in shown


@pytest.mark.long
def test_off_step_by_step_under_load(fleet, tell_load):
    with fleet.load(fleet.now, reloads=True) as load:
        for mode in ("prefer", "allow", "none"):
            site(mode).succeeded()
    tell_load(load)
    assert seen_on_the_wire("zebra-crossings-again") >= {GATEWAY, ENCODER}

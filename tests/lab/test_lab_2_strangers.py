"""Nobody gets in: what a stranger in the same network sees, and what a service may do."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_hosts import EDGES, HOSTS, NAMESPACE, address, host_processes, run_on, unit_properties
from lab_plays import NAME, SUBNET, play

STRANGER = f"{SUBNET}.99"
CONTROLLER = f"{SUBNET}.1"
SCAN = Path(__file__).with_name("lab_scan.py")
PORTS = 65_535  # of TCP
UNITS = [(host, unit) for host, (_, units) in HOSTS.items() for unit in units]


@pytest.fixture(scope="module", autouse=True)
def stranger() -> Iterator[None]:
    """Another machine in the hosts' network: an address that the inventory does not know."""
    place = [f"{STRANGER}/24", "dev", "br0"]
    subprocess.run(["ip", "-n", NAME, "address", "add", *place], check=True)
    yield
    subprocess.run(["ip", "-n", NAME, "address", "delete", *place], check=True)


def scan(source: str, first: int, last: int, *hosts: str) -> dict[str, list[int]]:
    """Host -> the ports that accept a connection from an address."""
    command = [sys.executable, SCAN, source, str(first), str(last), *map(address, hosts)]
    done = subprocess.run(
        ["nsenter", f"--net={NAMESPACE}", *command], capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return {host: found[address(host)] for host in hosts}


def test_a_stranger_reaches_the_edge_and_nothing_else(tell):
    found = scan(STRANGER, 1, PORTS, *HOSTS)
    wanted = {host: [80] if host in EDGES else [] for host in HOSTS}
    assert found == wanted
    tell(f"{PORTS * len(HOSTS)} ports asked")


def test_the_controller_reaches_ssh():
    found = scan(CONTROLLER, 1, 100, *HOSTS)
    assert found == {host: [22, 80] if host in EDGES else [22] for host in HOSTS}


def test_a_stopped_firewall_would_be_seen():
    run_on("shard-a", "systemctl", "stop", "nftables-askfleet.service")
    try:
        assert 22 in scan(STRANGER, 1, 100, "shard-a")["shard-a"]
        assert scan(STRANGER, 7200, 7201, "shard-a")["shard-a"] == [7200, 7201]
    finally:
        run_on("shard-a", "systemctl", "start", "nftables-askfleet.service")
    assert scan(STRANGER, 7200, 7201, "shard-a")["shard-a"] == []


@pytest.mark.long
def test_rules_go_and_come_under_load(fleet, tell):
    """The kernel knows no connection from before its rules, and cuts none of them off."""
    with fleet.load(fleet.now) as load:
        play("site.yml", "-e", "askfleet_firewall=false").succeeded()
        assert scan(STRANGER, 7200, 7201, "shard-a")["shard-a"] == [7200, 7201]
        play("site.yml").succeeded()
        time.sleep(3)
    assert scan(STRANGER, 7200, 7201, "shard-a")["shard-a"] == []
    tell(load)
    load.check()


def test_rules_that_would_shut_the_controller_out_are_refused():
    before = run_on("shard-a", "nft", "list", "table", "inet", "askfleet")
    extra = ["-e", json.dumps({"askfleet_controllers": ["192.0.2.0/24"]})]
    done = play("site.yml", *extra)
    done.failed(f"ssh comes from {CONTROLLER}", "192.0.2.0/24", "nothing has been changed")
    assert run_on("shard-a", "nft", "list", "table", "inet", "askfleet") == before


@pytest.mark.parametrize(("host", "unit"), UNITS, ids=[" ".join(one) for one in UNITS])
def test_a_service_has_no_power(host, unit):
    """What the kernel says of the process, whatever the unit asks for."""
    _, init = host_processes(host)
    inside = unit_properties(host, unit, "MainPID", "User")
    status = dict(
        line.split(":\t", 1)
        for line in run_on(host, "cat", f"/proc/{inside['MainPID']}/status").splitlines()
        if ":\t" in line
    )
    uid = run_on(host, "id", "--user", inside["User"]).strip()
    assert set(status["Uid"].split()) == {uid}
    assert uid != "0"
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    mounts = run_on(host, "cat", f"/proc/{inside['MainPID']}/mounts").splitlines()
    options = {line.split()[1]: line.split()[3].split(",") for line in mounts}
    assert "ro" in options["/"]
    assert "hidepid=invisible" in options["/proc"]
    assert {"/etc/askfleet", "/var/lib/askfleet"} <= options.keys()
    assert init > 1


def test_a_stolen_service_reaches_its_own_host_and_a_gateway_the_replicas():
    """As the service's user: nothing else, on no host."""

    def become(kind: str) -> list[str]:
        return ["setpriv", f"--reuid=askfleet-{kind}", "--clear-groups"]

    ask = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]

    def code(host: str, *command: str) -> str:
        return run_on(host, *command, check=False)

    shard, encoder = f"http://{address('shard-a')}:7200", f"http://{address('encoder-1')}:7100"
    gateway = f"http://{address('gateway-2')}:7000"
    for replica in (shard, encoder):
        assert code("gateway-1", *become("gateway"), *ask, f"{replica}/livez") == "200"
    assert code("gateway-1", *become("gateway"), *ask, "http://127.0.0.1:6200/livez") == "200"
    assert code("gateway-1", *ask, f"{gateway}/livez") == "200"  # root here may
    for other in (gateway, f"http://{CONTROLLER}:22", f"http://{address('shard-a')}:22"):
        assert code("gateway-1", *become("gateway"), *ask, f"{other}/livez") == "000", other
    assert code("shard-b", *ask, f"{shard}/livez") == "200"
    for other in (shard, encoder, gateway):
        assert code("shard-b", *become("shard"), *ask, f"{other}/livez") == "000", other

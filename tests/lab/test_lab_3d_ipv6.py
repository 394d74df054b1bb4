"""The same hosts known by their IPv6 addresses: installed, updated, asked, closed to strangers."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_corpora import GENERATIONS
from lab_fleet import Fleet
from lab_hosts import EDGES, HOSTS, NAMESPACE, links
from lab_plays import NAME, play

NETWORK = "fd61:736b:666c:"
INVENTORIES = ("-i", "inventory/lab", "-i", "tests/lab/ipv6")
STRANGER = f"{NETWORK}:99"
SHARED = f"{NETWORK}:9"  # the edges' own
SCAN = Path(__file__).with_name("lab_scan.py")
QUESTION = json.dumps({"instances": ["how do you turn on an iphone?"]})


@pytest.fixture
def ipv6(made_fleet: Fleet) -> Iterator[Fleet]:
    """The fleet by its IPv6 addresses, and afterwards by those of IPv4 again."""
    place = [f"{STRANGER}/64", "dev", "br0"]
    # Nothing but the scan comes from there: the hosts do not let a stranger in by ssh.
    unasked = ["nodad", "preferred_lft", "0"]
    subprocess.run(["ip", "-n", NAME, "address", "add", *place, *unasked], check=True)
    try:
        play("site.yml", *INVENTORIES).succeeded()
        yield made_fleet
    finally:
        subprocess.run(["ip", "-n", NAME, "address", "delete", *place], check=True)
        play("site.yml").succeeded()


def inside(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the hosts' network, from the controller's place."""
    full = ["nsenter", f"--net={NAMESPACE}", *command]
    return subprocess.run(full, capture_output=True, text=True, timeout=120, check=False)


def ask(address: str) -> dict[str, str]:
    """Ask an edge one question."""
    url = f"http://[{address}]/process"
    done = inside("curl", "--silent", "--show-error", "--max-time", "10", "-d", QUESTION, url)
    assert done.returncode == 0, f"{url}: {done.stderr}"
    body: dict[str, str] = json.loads(done.stdout)
    return body


@pytest.mark.long
def test_the_fleet_works_on_ipv6_addresses(ipv6: Fleet, tell):
    letter = ipv6.other()
    (generation,) = ipv6.corpora.ids(letter)
    extra = ["-e", f"generation={generation}", "-e", f"generation_dir={GENERATIONS}"]
    start = time.monotonic()
    play("update_index.yml", *INVENTORIES, *extra).succeeded()
    seconds = time.monotonic() - start
    assert {now[0] for where, now in links().items() if "encoder" not in where} == {generation}
    addresses = [SHARED, *(f"{NETWORK}:{HOSTS[host][0]}" for host in EDGES)]
    for address in addresses:
        answer = ask(address)
        assert (answer["generation"], answer["partial"]) == (generation, False)
    play("status.yml", *INVENTORIES).succeeded()

    hosts = [f"{NETWORK}:{number}" for number, _ in HOSTS.values()]
    done = inside(sys.executable, str(SCAN), STRANGER, "1", "9200", *hosts)
    assert done.returncode == 0, done.stderr
    edges = {f"{NETWORK}:{HOSTS[host][0]}" for host in EDGES}
    wanted = {host: [80] if host in edges else [] for host in hosts}
    assert json.loads(done.stdout) == wanted
    tell(f"update {seconds:.1f} s; {9200 * len(hosts)} ports asked by a stranger")

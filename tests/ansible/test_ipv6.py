"""A fleet on IPv6 addresses: every program that reads our files accepts them, and clients count."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_sources import ROOT, Run, load_filter

pytestmark = pytest.mark.slow  # its fixtures are

inventory = load_filter("inventory")
topology = load_filter("topology")

GROUPS = {"edge": ["a"], "gateways": ["a"], "encoders": ["a", "b"], "shards": ["a", "b"]}
NET = "fd61:736b:666c:"
ALL = "0.0.0.0"  # noqa: S104  # named, not bound
INVENTORIES = ["-i", "inventory/lab", "-i", "tests/lab/ipv6"]


def hosts(first: str, second: str, **more: Any) -> dict[str, dict[str, Any]]:
    variables = {"shards": [0, 1, 2, 3], **more}
    return {"a": {"ansible_host": first, **variables}, "b": {"ansible_host": second, **variables}}


def test_addresses_stand_in_brackets_before_a_port(specs: Any) -> None:
    fleet = topology.askfleet_topology(GROUPS, hosts("FD00:0:0::11", "fd00::12"), specs)
    assert fleet["encoders"]["replicas"] == ["[fd00::11]:7100", "[fd00::12]:7100"]
    assert fleet["edges"] == ["http://[fd00::11]:80"]
    described = fleet["hosts"]["a"]
    assert (described["address"], described["authority"]) == ("fd00::11", "[fd00::11]")
    (encoder,) = [one for one in described["services"] if one["kind"] == "encoder"]
    assert encoder["stand_ins"] == ["http://[fd00::12]:7100"]
    assert encoder["listen"] == ["127.0.0.1:7100", "[::]:7100"]
    assert encoder["url"] == "http://127.0.0.1:7100"


@pytest.mark.parametrize(
    ("address", "wanted", "listens"),
    [
        ("192.0.2.1", ALL, [ALL]),
        ("192.0.2.1", "*", [ALL, "[::]"]),
        ("fd00::1", ALL, [ALL, "[::]"]),
        ("fd00::1", "::", ["[::]"]),
        ("fd00::1", "fd00::9", ["[fd00::9]"]),
        ("192.0.2.1", "127.0.0.1", ["127.0.0.1"]),
    ],
)
def test_an_edge_listens_where_its_users_come(
    address: str, wanted: str, listens: list[str]
) -> None:
    assert topology.edge_listens(wanted, address) == listens


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("fd00::11", "fd00::12", []),
        ("fd00::11", "FD00:0::11", ["a, b", "all have fd00::11"]),
        ("fd00::11", "192.0.2.1", ["IPv4 on b", "IPv6 on a", "one of the two"]),
        ("fe80::1", "fd00::12", ["a:", "fe80::1", "link-local"]),
        ("fd00::11", "b.example", []),
    ],
)
def test_a_mistake_is_named(specs: Any, first: str, second: str, words: list[str]) -> None:
    errors = inventory.askfleet_inventory_errors(GROUPS, hosts(first, second), specs)
    assert len(errors) == bool(words), errors
    assert all(word in errors[0] for word in words), errors


def test_the_shared_address_is_of_the_edges_family(specs: Any) -> None:
    variables = hosts("fd00::11", "fd00::12", askfleet_edge_address="192.0.2.9")
    (error,) = inventory.askfleet_inventory_errors(GROUPS, variables, specs)
    assert "another IP version" in error


def render(play: Run, host: str, to: Path) -> Path:
    given = {
        "render_host": host,
        "render_to": str(to),
        "render_templates": [{"src": "systemd/askfleet.socket.j2", "end": ".socket"}],
        "askfleet_source_dir": str(ROOT),
    }
    done = play(*INVENTORIES, "-e", json.dumps(given), "tests/ansible/render.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    return to


@pytest.fixture(scope="module")
def gateway(play: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gateway-2 of the lab, which is an edge too."""
    return render(play, "gateway-2", tmp_path_factory.mktemp("gateway"))


def test_nginx_accepts_its_configuration(gateway: Path) -> None:
    command = ["nginx", "-t", "-c", gateway / "nginx.conf", "-e", gateway / "log"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = (gateway / "nginx.conf").read_text()
    assert "listen [::]:80 default_server;" in text
    assert f"server [{NET}:31]:7200 max_fails=1" in text
    assert f"server [{NET}:34]:7203 max_fails=1" in text  # the inventory writes it another way
    assert f"proxy_pass http://[{NET}:21]:7100/;" in text
    inside = text.split("geo $askfleet_inside {")[1].split("}")[0]
    assert f"{NET}:11 1;" in inside


def test_systemd_accepts_the_sockets(gateway: Path, tmp_path: Path) -> None:
    text = (gateway / "askfleet-gateway.socket").read_text()
    assert re.findall(r"ListenStream=(.+)", text) == ["127.0.0.1:7000", "[::]:7000"]
    (tmp_path / "x.socket").write_text(text)
    (tmp_path / "x.service").write_text("[Service]\nExecStart=/bin/true\n")
    command = ["systemd-analyze", "verify", tmp_path / "x.socket"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "x.socket" not in done.stderr, done.stderr


def test_prometheus_is_told_addresses_in_brackets(play: Run, tmp_path: Path) -> None:
    """On edge-1, which watches the fleet."""
    text = (render(play, "edge-1", tmp_path) / "prometheus.yml").read_text()
    assert f"- targets: ['[{NET}:31]:7200']" in text
    assert f"- targets: ['http://[{NET}:10]:80/readyz']" in text


# --- how much one client may ask ------------------------------------------------------------------


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The real nginx with the edge's own map, which says whom it counts."""
    to = tmp_path_factory.mktemp("clients")
    edge = (ROOT / "templates/nginx/edge.conf.j2").read_text()
    (counted,) = re.findall(r"^map \$binary_remote_addr .+?^}", edge, re.DOTALL | re.MULTILINE)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (to / "nginx.conf").write_text(f"""
        pid {to}/pid; error_log {to}/error.log; daemon off; events {{}}
        http {{
            access_log off; client_body_temp_path {to}/a; proxy_temp_path {to}/b;
            fastcgi_temp_path {to}/c; uwsgi_temp_path {to}/d; scgi_temp_path {to}/e;
            set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;
            {counted}
            server {{ listen 127.0.0.1:{port}; location / {{ return 200 "$askfleet_client"; }} }}
        }}""")
    with subprocess.Popen(["nginx", "-c", to / "nginx.conf", "-e", to / "error.log"]) as nginx:
        ends = time.monotonic() + 20
        while socket.socket().connect_ex(("127.0.0.1", port)) and time.monotonic() < ends:
            time.sleep(0.05)
        yield port
        nginx.terminate()


def counted_as(port: int, address: str) -> bytes:
    url = f"http://127.0.0.1:{port}/"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"X-Real-IP": address})) as got:
        body: bytes = got.read()
        return body


def test_an_ipv6_client_is_its_network(clients: int) -> None:
    """A client has the whole of it; ten is the number of a line's end."""
    first = counted_as(clients, "2001:db8:a0a:a0a::1")
    assert first == socket.inet_pton(socket.AF_INET6, "2001:db8:a0a:a0a::")[:8]
    assert counted_as(clients, "2001:db8:a0a:a0a:ffff:a:a:a") == first
    assert counted_as(clients, "2001:db8:a0a:a0b::1") != first


def test_an_ipv4_client_is_its_address(clients: int) -> None:
    assert counted_as(clients, "192.0.2.10") == bytes([192, 0, 2, 10])

"""Who may reach which port follows from the inventory's groups, and the operator stays in."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible_sources import ROOT, load_filter

firewall = load_filter("firewall")
topology = load_filter("topology")

GROUPS = {
    "edge": ["edge-1"],
    "gateways": ["gateway-1", "gateway-2"],
    "encoders": ["encoder-1", "gateway-1"],
    "shards": ["shard-a", "shard-b"],
    "monitoring": ["watcher"],
}
HOSTS: dict[str, dict[str, Any]] = {
    "edge-1": {"ansible_host": "192.0.2.10"},
    "gateway-1": {"ansible_host": "192.0.2.11"},
    "gateway-2": {"ansible_host": "gateway-2.example", "askfleet_address": "2001:db8::12"},
    "encoder-1": {"ansible_host": "192.0.2.21", "askfleet_address": "198.51.100.21"},
    "shard-a": {"ansible_host": "192.0.2.31", "shards": [0, 1]},
    "shard-b": {"ansible_host": "192.0.2.32", "shards": [2, 3]},
    "watcher": {"ansible_host": "192.0.2.99"},
}


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("edge-1", {name: {"192.0.2.99"} for name in ("nginx", "node", "mtail")}),
        ("watcher", {"node": set()}),
        (
            "gateway-2",
            {"gateway": {"192.0.2.10", "192.0.2.11", "192.0.2.99"}, "nginx": {"192.0.2.99"}},
        ),
        (
            "gateway-1",
            {
                "nginx": {"192.0.2.99"},
                "gateway": {"192.0.2.10", "2001:db8::12", "192.0.2.99"},
                "encoder": {"2001:db8::12", "192.0.2.21", "198.51.100.21", "192.0.2.99"},
            },
        ),
        (
            "shard-a",
            {
                name: {"192.0.2.11", "2001:db8::12", "192.0.2.32", "192.0.2.99"}
                for name in ("shard-0", "shard-1")
            },
        ),
    ],
)
def test_a_service_accepts_who_uses_it(specs: Any, host: str, wanted: dict[str, set[str]]) -> None:
    fleet = topology.askfleet_topology(GROUPS, HOSTS, specs)
    accepts = firewall.askfleet_accepts(fleet, GROUPS, HOSTS, host)
    assert {one["name"]: set(one["sources"]) for one in accepts} == wanted
    described = fleet["hosts"][host]
    ports = {service["name"]: service["port"] for service in described["services"]}
    ports |= described["exporters"]
    assert {one["name"]: one["port"] for one in accepts} == ports


def test_gateways_call_the_replicas_and_others_call_nobody(specs: Any) -> None:
    hosts = {**HOSTS, "encoder-1": {"askfleet_address": "2001:db8:0::21"}}
    fleet = topology.askfleet_topology(GROUPS, hosts, specs)
    first, second = firewall.askfleet_calls(fleet, "gateway-1")
    assert (first["user"], first["family"]) == ("askfleet-gateway", "ip")
    assert first["replicas"] == [
        "192.0.2.11 . 7100", "192.0.2.31 . 7200", "192.0.2.31 . 7201", "192.0.2.32 . 7202",
        "192.0.2.32 . 7203",
    ]  # fmt: skip
    assert (second["family"], second["replicas"]) == ("ip6", ["2001:db8::21 . 7100"])
    for host in ("edge-1", "encoder-1", "shard-a", "watcher"):
        assert firewall.askfleet_calls(fleet, host) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        (
            {"edge-1": {"ansible_host": "edge.example"}},
            ["edge-1", "askfleet_address", "edge.example"],
        ),
        ({"watcher": {"ansible_host": "watch.example"}}, ["watcher", "watch.example"]),
        ({"shard-a": {"askfleet_controllers": ["here"]}}, ["askfleet_controllers", "here"]),
        (
            {"shard-a": {"askfleet_controllers": ["192.0.2.1/24"]}},
            ["askfleet_controllers", "192.0.2.1/24"],
        ),
        ({"shard-a": {"askfleet_controllers": ["192.0.2.0/24", "2001:db8::1"]}}, []),
    ],
)
def test_what_rules_cannot_be_made_of_is_named(changes: Any, words: list[str]) -> None:
    hosts = copy.deepcopy(HOSTS)
    for host, variables in changes.items():
        hosts[host].update(variables)
    errors = firewall.askfleet_firewall_errors(GROUPS, hosts)
    assert bool(errors) == bool(words), errors
    assert all(word in errors[0] for word in words), errors
    off = {host: {**variables, "askfleet_firewall": False} for host, variables in hosts.items()}
    assert firewall.askfleet_firewall_errors(GROUPS, off) == []


@pytest.fixture(scope="module")
def module() -> ModuleType:
    path = ROOT / "plugins/modules/firewall.py"
    spec = importlib.util.spec_from_file_location("firewall_module", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_the_operators_address_is_found_past_sudo(module: ModuleType, tmp_path: Path) -> None:
    for pid, parent, environ in [
        (30, 20, b"HOME=/root\0"),
        (20, 10, b"A=1\0SSH_CONNECTION=2001:db8::5 50000 2001:db8::1 22\0"),
        (10, 1, b""),
        (1, 0, b""),
    ]:
        (tmp_path / str(pid)).mkdir()
        (tmp_path / f"{pid}/environ").write_bytes(environ)
        (tmp_path / f"{pid}/status").write_text(f"Name:\tsh\nPPid:\t{parent}\n")
    assert module.caller(30, tmp_path) == "2001:db8::5"
    assert module.caller(10, tmp_path) == ""
    assert module.caller(99, tmp_path) == ""


@pytest.mark.parametrize(
    ("controllers", "address", "inside"),
    [
        (["192.0.2.5"], "192.0.2.5", True),
        (["192.0.2.5"], "::ffff:192.0.2.5", True),
        (["192.0.2.5"], "192.0.2.6", False),
        (["2001:db8::/64", "192.0.2.0/24"], "192.0.2.6", True),
        (["2001:db8::/64"], "2001:db8::7%eth0", True),
        (["2001:db8::/64"], "192.0.2.6", False),
    ],
)
def test_who_is_let_in(
    module: ModuleType, controllers: list[str], address: str, inside: bool
) -> None:
    assert module.lets_in(controllers, address) == inside


def test_addresses_of_one_family() -> None:
    both = ["192.0.2.0/24", "2001:db8::1"]
    assert firewall.askfleet_family(both, 4) == ["192.0.2.0/24"]
    assert firewall.askfleet_family(both, 6) == ["2001:db8::1"]

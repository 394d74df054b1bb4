"""An inventory mistake is refused before any host is touched, naming host, variable and fix."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from ansible_sources import ROOT, Run, load_filter
from tripwire import fleet_behind_a_tripwire

inventory = load_filter("inventory")
topology = load_filter("topology")

GROUPS = {
    "edge": ["edge-1"],
    "gateways": ["gateway-1", "gateway-2"],
    "encoders": ["encoder-1"],
    "shards": ["shard-a", "shard-b"],
}
HOSTS: dict[str, dict[str, Any]] = {
    "edge-1": {"ansible_host": "192.0.2.10"},
    "gateway-1": {"ansible_host": "192.0.2.11"},
    "gateway-2": {"ansible_host": "192.0.2.12"},
    "encoder-1": {"ansible_host": "192.0.2.21"},
    "shard-a": {"ansible_host": "192.0.2.31", "shards": [0, 1, 2]},
    "shard-b": {"ansible_host": "192.0.2.32", "shards": [2, 3, 0]},
}


def judge(
    specs: Any, groups: dict[str, list[str]] | None = None, **changes: dict[str, Any]
) -> list[str]:
    """Judge the good inventory with some hosts' variables changed; None removes a variable."""
    hosts = copy.deepcopy(HOSTS)
    for host, variables in changes.items():
        entry = hosts.setdefault(host.replace("_", "-"), {})
        entry.update(variables)
        for name in [n for n, v in variables.items() if v is None]:
            del entry[name]
    groups = groups or GROUPS
    errors: list[str] = inventory.askfleet_inventory_errors(groups, hosts, specs)
    return errors or topology.askfleet_port_errors(
        topology.askfleet_topology(groups, hosts, specs), hosts
    )


def test_a_good_inventory_has_no_errors(specs: Any) -> None:
    assert judge(specs) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shard_b": {"shards": [2, 0]}}, ["shards", "no host serves shard 3", "shard-a"]),
        ({"shard_b": {"shards": [2, 4, 0]}}, ["shard-b", "shards", "4 is outside 0..3"]),
        ({"shard_b": {"shards": [-1, 3]}}, ["shard-b", "shards", "-1 is outside 0..3"]),
        ({"shard_b": {"shards": [3, 3]}}, ["shard-b", "shards", "3 is named twice"]),
        ({"shard_b": {"shards": ["3"]}}, ["shard-b", "shards", "whole numbers"]),
        ({"shard_b": {"shards": [True, 3]}}, ["shard-b", "shards", "whole numbers"]),
        ({"shard_b": {"shards": 3}}, ["shard-b", "shards", "whole numbers"]),
        ({"shard_b": {"shards": []}}, ["shard-b", "shards", "whole numbers"]),
        ({"shard_b": {"shards": None}}, ["shard-b", "shards", "missing"]),
        ({"encoder_1": {"shards": [0]}}, ["encoder-1", "shards", "outside the group"]),
        ({"gateway_1": {"askfleet_processes": 65}}, ["askfleet_processes", "65", "0..64"]),
        ({"gateway_1": {"askfleet_processes": -1}}, ["askfleet_processes", "-1", "0..64"]),
        ({"gateway_1": {"askfleet_processes": "many"}}, ["askfleet_processes", "whole number"]),
        ({"gateway_1": {"askfleet_record_questions": 10_001}}, ["10001", "0..10000"]),
        ({"gateway_1": {"askfleet_record_questions": -1}}, ["record_questions", "-1"]),
        ({"gateway_1": {"askfleet_record_questions": "all"}}, ["record_questions", "whole number"]),
        ({"gateway_1": {"askfleet_min_confidence": 60}}, ["min_confidence", "from 0 to 1"]),
        ({"gateway_1": {"askfleet_min_confidence": "abc"}}, ["min_confidence", "from 0 to 1"]),
        ({"gateway_1": {"askfleet_min_confidence": -0.1}}, ["min_confidence", "from 0 to 1"]),
        ({"gateway_1": {"askfleet_min_confidence": True}}, ["min_confidence", "from 0 to 1"]),
        (
            {
                "gateway_1": {"askfleet_min_confidence": 0.6},
                "gateway_2": {"askfleet_min_confidence": 0.7},
            },
            ["askfleet_min_confidence: differs"],
        ),
        ({"gateway_1": {"askfleet_threads": 0}}, ["askfleet_threads", "0 is outside 1..…"]),
        ({"shard_b": {"shard": 3}}, ["shard-b", "shard: unknown", "`shards`"]),
        ({"shard_b": {"Shards": [3]}}, ["shard-b", "Shards: unknown", "`shards`"]),
        (
            {"edge_1": {"askfleet_htp_port": 81}},
            ["edge-1", "askfleet_htp_port", "askfleet_http_port?"],
        ),
        (
            {"edge_1": {"askflet_http_port": 81}},
            ["edge-1", "askflet_http_port", "askfleet_http_port?"],
        ),
        ({"edge_1": {"askfleet_q": 1}}, ["edge-1", "askfleet_q", "defaults/main.yml"]),
        (
            {"edge_1": {"askfleet_http_port": "http"}},
            ["edge-1", "askfleet_http_port", "whole number"],
        ),
        (
            {"edge_1": {"askfleet_http_port": True}},
            ["edge-1", "askfleet_http_port", "whole number"],
        ),
        ({"edge_1": {"askfleet_http_port": 70000}}, ["edge-1", "askfleet_http_port", "1..65535"]),
        ({"edge_1": {"askfleet_address": ""}}, ["edge-1", "askfleet_address", "text"]),
        ({"edge_1": {"askfleet_build_dir": "var"}}, ["edge-1", "askfleet_build_dir", "absolute"]),
        (
            {"shard_a": {"askfleet_shard_count": 0}},
            ["shard-a", "askfleet_shard_count", "0 is outside"],
        ),
        (
            {"shard_a": {"askfleet_shard_count": 4}, "shard_b": {"askfleet_shard_count": 5}},
            ["shard-b", "differs"],
        ),
        (
            {"gateway_1": {"askfleet_gateway_port": 6101, "askfleet_encoder_pool_port": 6101}},
            ["gateway-1", "6101"],
        ),
        (
            {"gateway_1": {"askfleet_gateway_port": 6202}},
            ["gateway-1", "6202", "askfleet_gateway_port", "shard-2"],
        ),
        (
            {"gateway_1": {"askfleet_encoder_pool_port": 6203}},
            ["gateway-1", "6203", "askfleet_encoder_pool_port"],
        ),
        ({"edge_1": {"askfleet_http_port": 22}}, ["edge-1", "22", "askfleet_http_port", "sshd"]),
        (
            {"shard_a": {"askfleet_shard_base_port": 65534}},
            ["shard-a", "65536", "askfleet_shard_base_port"],
        ),
        (
            {"edge_1": {"askfleet_nginx_metrics_port": 80}},
            ["edge-1", "80", "askfleet_http_port", "askfleet_nginx_metrics_port"],
        ),
        (
            {"gateway_2": {"ansible_host": "192.0.2.11"}},
            ["gateway-1", "gateway-2", "askfleet_address"],
        ),
    ],
)
def test_a_mistake_names_host_and_variable(
    specs: Any, changes: dict[str, dict[str, Any]], words: list[str]
) -> None:
    errors = judge(specs, **changes)
    assert any(all(word in error for word in words) for error in errors), errors


@pytest.mark.parametrize("bound", [0, 0.6, 1, "0.6"])
def test_a_bound_of_confidence_may_be_any_share(specs: Any, bound: Any) -> None:
    own = {"askfleet_min_confidence": bound}
    hosts = ("edge_1", "gateway_1", "gateway_2")
    found = judge(specs, **dict.fromkeys(hosts, own))
    assert [error for error in found if "min_confidence" in error] == []


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_an_empty_group_is_named(specs: Any, group: str) -> None:
    errors = judge(specs, {**GROUPS, group: []})
    assert any(f"group {group}: no host" in error for error in errors), errors


def test_services_that_share_a_host_may_not_share_a_port(specs: Any) -> None:
    groups = {**GROUPS, "encoders": ["gateway-1"]}
    assert judge(specs, groups) == []
    errors = judge(specs, groups, gateway_1={"askfleet_encoder_port": 7000})
    assert [e for e in errors if "gateway-1: port 7000" in e and "askfleet_encoder_port" in e], (
        errors
    )


def test_all_mistakes_are_told_at_once_and_alike_ones_together(specs: Any) -> None:
    errors = judge(
        specs, edge_1={"askfleet_x": 1}, gateway_1={"askfleet_x": 1}, shard_a={"shard": 0}
    )
    assert len(errors) == 2
    assert any(error.startswith("edge-1, gateway-1: askfleet_x") for error in errors)


def test_the_topology_says_who_serves_what(specs: Any) -> None:
    fleet = topology.askfleet_topology(GROUPS, HOSTS, specs)
    assert [s["hosts"] for s in fleet["shards"]] == [
        ["shard-a", "shard-b"],
        ["shard-a"],
        ["shard-a", "shard-b"],
        ["shard-b"],
    ]
    assert fleet["shards"][2]["replicas"] == ["192.0.2.31:7202", "192.0.2.32:7202"]
    assert fleet["edges"] == ["http://192.0.2.10:80"]
    gateway = fleet["hosts"]["gateway-1"]["services"][0]
    assert gateway["encoder_url"] == "http://127.0.0.1:6100"
    assert gateway["shard_urls"] == [f"http://127.0.0.1:{6200 + i}" for i in range(4)]
    assert [s["unit"] for s in fleet["hosts"]["shard-b"]["services"]] == [
        f"askfleet-shard@{i}" for i in (0, 2, 3)
    ]


def test_a_fleet_may_be_watched_by_one_host(specs: Any) -> None:
    groups = {**GROUPS, "monitoring": ["edge-1"]}
    assert judge(specs, groups) == []
    fleet = topology.askfleet_topology(groups, HOSTS, specs)
    assert fleet["monitoring"] == "edge-1"
    assert {host: entry["exporters"] for host, entry in fleet["hosts"].items()} == {
        "edge-1": {"nginx": 9113, "node": 9100, "mtail": 3903},
        "gateway-1": {"nginx": 9113},
        "gateway-2": {"nginx": 9113},
        "encoder-1": {},
        "shard-a": {},
        "shard-b": {},
    }
    watchers = {host for host, entry in fleet["hosts"].items() if entry["monitoring"]}
    assert watchers == {"edge-1"}


def test_without_a_host_that_watches_nothing_is_added(specs: Any) -> None:
    for groups in (GROUPS, {**GROUPS, "monitoring": []}):
        fleet = topology.askfleet_topology(groups, HOSTS, specs)
        assert fleet["monitoring"] is None
        assert fleet["hosts"]["edge-1"]["exporters"] == {"nginx": 9113}
        assert not any(entry["monitoring"] for entry in fleet["hosts"].values())


def test_a_host_of_its_own_may_watch(specs: Any) -> None:
    groups = {**GROUPS, "monitoring": ["watch-1"]}
    assert judge(specs, groups, watch_1={"ansible_host": "192.0.2.9"}) == []
    (error,) = judge(specs, groups, watch_1={"ansible_host": "192.0.2.10"})
    assert "edge-1, watch-1" in error


def test_two_hosts_that_watch_are_refused(specs: Any) -> None:
    (error,) = judge(specs, {**GROUPS, "monitoring": ["edge-1", "gateway-1"]})
    assert "monitoring" in error
    assert "edge-1, gateway-1" in error


@pytest.mark.parametrize("port", [9100, 9113, 9115])
def test_prometheus_may_not_take_an_exporters_port(specs: Any, port: int) -> None:
    groups = {**GROUPS, "monitoring": ["edge-1"]}
    (error,) = judge(specs, groups, edge_1={"askfleet_prometheus_port": port})
    assert str(port) in error
    assert "askfleet_prometheus_port" in error


@pytest.mark.slow
def test_site_refuses_before_any_host_is_touched(play: Run, tmp_path: Path) -> None:
    hosts, mark = fleet_behind_a_tripwire(tmp_path, port="askfleet_htp_port", ids="[0, 1, 2]")
    done = play("-i", hosts, "site.yml", "--check")
    assert done.returncode != 0
    wanted = "edge-1: askfleet_htp_port: unknown variable; did you mean askfleet_http_port?"
    told = " ".join(done.stdout.split())
    assert wanted in told
    assert "no host serves shard 3" in told
    assert "Prepare every host" not in done.stdout
    assert not mark.exists()


@pytest.mark.slow
def test_the_tripwire_sees_a_host_that_is_touched(play: Run, tmp_path: Path) -> None:
    hosts, mark = fleet_behind_a_tripwire(tmp_path)
    play("-i", hosts, "site.yml", "--check")
    assert mark.exists()


@pytest.mark.parametrize("name", ["lab", "example"])
@pytest.mark.slow
def test_our_inventories_are_accepted(play: Run, name: str, tmp_path: Path) -> None:
    book = tmp_path / "validate.yml"
    book.write_text(
        "- hosts: all:localhost\n  gather_facts: false\n  tasks:\n"
        "    - ansible.builtin.import_role: {name: askfleet, tasks_from: validate}\n"
        f"      vars: {{askfleet_source_dir: {ROOT}}}\n"
    )
    done = play("-i", f"inventory/{name}", book)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 shards on 9 hosts" in done.stdout


# --- the address that the edges share ------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "own", "words"),
    [
        ("192.0.2.9", "192.0.2.10", []),
        ("ask.example", "192.0.2.10", ["askfleet_edge_address", "'ask.example'"]),
        ("192.0.2.9", "edge.example", ["edge-1: askfleet_address", "'edge.example'"]),
    ],
)
def test_the_shared_address_needs_addresses(
    specs: Any, address: str, own: str, words: list[str]
) -> None:
    errors = judge(specs, edge_1={"askfleet_edge_address": address, "ansible_host": own})
    assert len(errors) == (1 if words else 0), errors
    assert all(word in errors[0] for word in words)


def test_edges_share_one_address(specs: Any) -> None:
    groups = {**GROUPS, "edge": ["edge-1", "gateway-1"]}
    errors = judge(
        specs,
        groups,
        edge_1={"askfleet_edge_address": "192.0.2.8"},
        gateway_1={"askfleet_edge_address": "192.0.2.9"},
    )
    assert len(errors) == 1
    assert "192.0.2.8, 192.0.2.9" in errors[0]

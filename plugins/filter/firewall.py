"""Filters that say who may reach which port of which host, from the inventory alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

Settings = Mapping[str, Any]
Groups = Mapping[str, Iterable[str]]

# The group whose hosts may also look at every service.
MONITORING = "monitoring"


def askfleet_accepts(
    topology: Mapping[str, Any], groups: Groups, hostvars: Mapping[str, Settings], host: str
) -> list[dict[str, Any]]:
    """Say who may open connections to a host's services; users and ssh come on top.

    A service accepts who uses it (gateways the edges, the others the gateways), hosts of its own
    kind, which ask each other before one of them restarts, and hosts of the group `monitoring`.
    Exporters accept these alone.

    Args:
        topology: What `askfleet_topology` returns.
        groups: Ansible's `groups`.
        hostvars: Variables of each host.
        host: Whose rules they are.

    Returns:
        Per service and exporter `name`, `port` and `sources`: the addresses, sorted, the host's own
        left out.
    """
    callers = {"gateway": "edge", "encoder": "gateways", "shard": "gateways"}
    kinds = {"gateway": "gateways", "encoder": "encoders", "shard": "shards"}
    described = topology["hosts"].get(host, {})
    found: list[dict[str, Any]] = []

    def accept(name: str, port: int, *sources: str) -> None:
        members = {one for group in sources for one in groups.get(group, ())} - {host}
        addresses = {address for one in members for address in _addresses(one, hostvars)}
        found.append({"name": name, "port": port, "sources": sorted(addresses)})

    for service in described.get("services", []):
        kind = service["kind"]
        accept(service["name"], service["port"], callers[kind], kinds[kind], MONITORING)
    for name, port in described.get("exporters", {}).items():
        accept(name, port, MONITORING)
    return found


def askfleet_calls(topology: Mapping[str, Any], host: str) -> list[dict[str, Any]]:
    """Say whom the services of a host call on other hosts: a gateway calls the replicas.

    Args:
        topology: What `askfleet_topology` returns.
        host: Whose rules they are.

    Returns:
        Per family of addresses `user`, `family` (ip or ip6) and `replicas`, each as nftables
        writes an address with a port; a replica that is named by a host name is left out.
    """
    found = []
    for service in topology["hosts"].get(host, {}).get("services", []):
        if service["kind"] != "gateway":
            continue
        replicas = [service["encoder_replicas"], *service["shard_replicas"]]
        ends = sorted({one.rpartition(":")[::2] for pool in replicas for one in pool})
        for family, version in (("ip", 4), ("ip6", 6)):
            written = [
                f"{address.strip('[]')} . {port}"
                for address, port in ends
                if _version(address.strip("[]")) == version
            ]
            if written:
                found.append({"user": service["user"], "family": family, "replicas": written})
    return found


def askfleet_firewall_errors(groups: Groups, hostvars: Mapping[str, Settings]) -> list[str]:
    """Name what the rules cannot be made of: host names, controllers that are no networks.

    Returns:
        Messages, each naming host or variable and the fix; empty where all is well.
    """
    hosts = dict.fromkeys(host for members in groups.values() for host in members)
    known = [host for host in hosts if host in hostvars]
    serving = ("edge", "gateways", "encoders", "shards", MONITORING)
    fleet = {host for group in serving for host in groups.get(group, ())}
    walled = [host for host in known if _is_on(hostvars[host])]
    relied_on = walled or any(
        hostvars[host].get("askfleet_api_keys")
        or hostvars[host].get("askfleet_tls", "none") != "none"
        for host in known
    )
    errors = [
        f"{host}: askfleet_address: {_told(host, hostvars[host])!r} is not an IP address, and "
        "firewall, HTTPS and API keys need one; set askfleet_address"
        for host in known
        if relied_on and host in fleet and not _addresses(host, hostvars)
    ]
    wrong: dict[str, None] = {}
    for host in walled:
        for source in hostvars[host].get("askfleet_controllers") or []:
            try:
                ipaddress.ip_network(source)
            except ValueError as error:
                wrong[f"askfleet_controllers: {error}; write e.g. 192.0.2.5 or 192.0.2.0/24"] = None
    return [*errors, *wrong]


def askfleet_sources(hosts: Iterable[str], hostvars: Mapping[str, Settings]) -> list[str]:
    """Return every address, sorted, from which one of these hosts may come."""
    return sorted({address for host in hosts for address in _addresses(host, hostvars)})


def askfleet_family(networks: Iterable[str], version: int) -> list[str]:
    """Return the addresses and networks of IPv4 or IPv6."""
    return [one for one in networks if ipaddress.ip_network(one).version == version]


def _version(address: str) -> int | None:
    """4 or 6; None for a host name."""
    try:
        return ipaddress.ip_address(address).version
    except ValueError:
        return None


def _is_on(variables: Settings) -> bool:
    return str(variables.get("askfleet_firewall", True)).lower() in {"true", "yes", "1", "on"}


def _told(host: str, variables: Settings) -> str:
    return str(variables.get("askfleet_address", variables.get("ansible_host", host)))


def _addresses(host: str, hostvars: Mapping[str, Settings]) -> set[str]:
    """Addresses from which a host may come: its own in the fleet, and the one Ansible uses."""
    variables = hostvars[host]
    found = set()
    for told in (_told(host, variables), str(variables.get("ansible_host", host))):
        try:
            found.add(str(ipaddress.ip_address(told)))
        except ValueError:
            continue
    return found


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by the name templates call them."""
        return {
            "accepts": askfleet_accepts,
            "calls": askfleet_calls,
            "firewall_errors": askfleet_firewall_errors,
            "sources": askfleet_sources,
            "family": askfleet_family,
        }

"""Filters that turn an inventory into the topology every role and template reads."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

Topology = dict[str, Any]
Settings = Mapping[str, Any]

_DATA_DIR = "/srv/askfleet"
_RUN_DIR = "/run/askfleet"
# Debian's own: prometheus-node-exporter and mtail; prometheus-blackbox-exporter, on loopback.
_NODE_PORT = 9100
_MTAIL_PORT = 3903
_PROBE_PORT = 9115


_WATCHING = {
    "nginx": "nginx's metrics (askfleet_nginx_metrics_port)",
    "node": "prometheus-node-exporter",
    "mtail": "mtail, which counts the edge's answers",
    "prometheus": "prometheus (askfleet_prometheus_port)",
    "probe": "prometheus-blackbox-exporter",
}


def setting(
    hostvars: Mapping[str, Settings], specs: Mapping[str, Settings], host: str, name: str
) -> Any:
    """Return one setting of a host, own or default, as the contract's type.

    The default of `askfleet_address` follows `ansible_host`, then the host's name; an IPv6 address
    is in its shortest form.
    """
    if name == "askfleet_address":
        own = str(hostvars[host].get(name, hostvars[host].get("ansible_host", host)))
        own = str(ipaddress.ip_address(own)) if is_ipv6(own) else own
    else:
        own = hostvars[host].get(name, specs[name]["default"])
    return int(own) if specs[name]["type"] == "int" else own


def is_ipv6(address: str) -> bool:
    """Whether this is an IPv6 address."""
    try:
        return ipaddress.ip_address(address).version == 6
    except ValueError:
        return False


def bracketed(address: str) -> str:
    """Return an address as it stands before a port: an IPv6 address in brackets."""
    return f"[{address}]" if is_ipv6(address) else address


def listens(address: str) -> list[str]:
    """Where a service listens on a host of this address: on all of its addresses of that family.

    An IPv6 host also listens on 127.0.0.1, where health checks ask. The two are sockets of their
    own, so that no IPv4 address ever looks like an IPv6 one.
    """
    return ["127.0.0.1", "[::]"] if is_ipv6(address) else ["0.0.0.0"]  # noqa: S104  # firewalled


def edge_listens(wanted: str, address: str) -> list[str]:
    """Where nginx of an edge listens.

    Args:
        wanted: `askfleet_http_address`; `*` is every address, `0.0.0.0` every one of IPv4.
        address: the host's own address; one of IPv6 is listened on, too.
    """
    if wanted == "*" or (wanted == "0.0.0.0" and is_ipv6(address)):  # noqa: S104  # users call it
        return ["0.0.0.0", "[::]"]  # noqa: S104  # users call it
    return [bracketed(wanted)]


def askfleet_topology(
    groups: Mapping[str, Iterable[str]],
    hostvars: Mapping[str, Settings],
    specs: Mapping[str, Settings],
    data_dir: str = _DATA_DIR,
    run_dir: str = _RUN_DIR,
) -> Topology:
    """Describe the fleet: who serves what, where it listens and who is asked through which pool.

    Args:
        groups: Ansible's `groups`; edge, gateways, encoders, shards and monitoring are read.
        hostvars: Variables of each host; `shards` and `askfleet_*` are read.
        specs: Options of the inventory contract by name, each with `type` and `default`.
        data_dir: Directory on a host that holds the services' links.
        run_dir: Directory on a host that holds the drain flags.

    Returns:
        `shards`: per shard id, in order, `id`, `hosts`, `replicas` (address:port of each);
        `encoders` and `gateways`: `hosts`, `replicas`; `edges`: the URLs users may call;
        `monitoring`: the host that watches the fleet, None without one;
        `scheme`: how hosts call each other's services, `http` or `https`;
        `hosts`: per host `address`, `authority` (the same as it stands before a port), `listen`
        (addresses, likewise), `services`, `pools`, `edge` (None off the edge), `monitoring`
        (None elsewhere; where Prometheus listens, and what probes the edges), `exporters`: port by
        name, `nginx` where it runs and `node` where only it can tell how full the disk is.
        A service has `name`, `unit`, `kind`, `user` (whom it runs as), `shard` and `part` (its
        directory in a generation; None but for shards), `port`, `listen` (address:port of each
        socket), `url` (on the host itself), `stand_ins` (URLs of its other replicas), `links`,
        `drain_file` and, for gateways, `encoder_url` and `shard_urls` (pools on the host itself),
        `encoder_replicas` and, per shard, `shard_replicas` (address:port of each), and
        `processes`, 0 for half of the cores.
    """

    def get(host: str, name: str) -> Any:
        return setting(hostvars, specs, host, "askfleet_" + name)

    def members(group: str) -> list[str]:
        return list(groups.get(group, ()))

    def replicas(hosts: Iterable[str], port: str, offset: int = 0) -> list[str]:
        return [f"{bracketed(get(host, 'address'))}:{get(host, port) + offset}" for host in hosts]

    def service(
        host: str, kind: str, port: int, shard: int | None = None, **more: Any
    ) -> dict[str, Any]:
        name = kind if shard is None else f"{kind}-{shard}"
        return {
            "name": name,
            "unit": f"askfleet-{kind}" if shard is None else f"askfleet-{kind}@{shard}",
            "kind": kind,
            "user": f"askfleet-{kind}",
            "shard": shard,
            "part": None if shard is None else f"shard-{shard:03d}",
            "port": port,
            "listen": [f"{address}:{port}" for address in listens(get(host, "address"))],
            "url": f"http://127.0.0.1:{port}",
            "stand_ins": [f"{scheme}://{one}" for one in others(host, pool_of(kind, shard))],
            "links": f"{data_dir}/{kind}",
            "drain_file": f"{run_dir}/drain/{name}",
            **more,
        }

    edges, gateways, encoders, shard_hosts, monitoring = map(
        members, ("edge", "gateways", "encoders", "shards", "monitoring")
    )
    scheme = "https" if get(shard_hosts[0], "internal_tls") in {"prefer", "require"} else "http"
    everybody = list(dict.fromkeys([*edges, *gateways, *encoders, *shard_hosts, *monitoring]))
    count = get(shard_hosts[0], "shard_count")
    owners = [[h for h in shard_hosts if i in hostvars[h]["shards"]] for i in range(count)]
    shards = [
        {"id": i, "hosts": owners[i], "replicas": replicas(owners[i], "shard_base_port", i)}
        for i in range(count)
    ]
    encoder = {"hosts": encoders, "replicas": replicas(encoders, "encoder_port")}
    gateway = {"hosts": gateways, "replicas": replicas(gateways, "gateway_port")}

    def pool_of(kind: str, shard: int | None) -> Mapping[str, Any]:
        return {"encoder": encoder, "gateway": gateway}[kind] if shard is None else shards[shard]

    def others(host: str, pool: Mapping[str, Any]) -> list[str]:
        replicas_of = zip(pool["hosts"], pool["replicas"], strict=True)
        return [replica for other, replica in replicas_of if other != host]

    def services(host: str) -> Iterable[dict[str, Any]]:
        if host in encoders:
            yield service(host, "encoder", get(host, "encoder_port"))
        if host in shard_hosts:
            for i in sorted(hostvars[host]["shards"]):
                port = get(host, "shard_base_port") + i
                yield service(host, "shard", port, i)
        if host in gateways:
            urls = [f"http://127.0.0.1:{pool['port']}" for pool in pools(host)]
            port = get(host, "gateway_port")
            pooled: dict[str, Any] = {
                "encoder_url": urls[0],
                "shard_urls": urls[1:],
                "encoder_replicas": encoder["replicas"],
                "shard_replicas": [shard["replicas"] for shard in shards],
                "processes": get(host, "processes"),
            }
            yield service(host, "gateway", port, **pooled)

    def pools(host: str) -> list[dict[str, Any]]:
        if host not in gateways:
            return []
        first = {"name": "encoder", "port": get(host, "encoder_pool_port")}
        base = get(host, "shard_pool_base_port")
        return [
            {**first, "replicas": encoder["replicas"]},
            *(
                {"name": f"shard-{s['id']}", "port": base + s["id"], "replicas": s["replicas"]}
                for s in shards
            ),
        ]

    def edge(host: str) -> dict[str, Any] | None:
        if host not in edges:
            return None
        port, https, tls = get(host, "http_port"), get(host, "https_port"), get(host, "tls")
        return {
            "listen": edge_listens(get(host, "http_address"), get(host, "address")),
            "port": port,
            "https_port": https,
            "tls": tls != "none",
            "ports": [port] if tls == "none" else [port, https],
        }

    def watcher(host: str) -> dict[str, int] | None:
        if host not in monitoring:
            return None
        return {"prometheus": get(host, "prometheus_port"), "probe": _PROBE_PORT}

    def exporters(host: str) -> dict[str, int]:
        found = {}
        if host in edges or host in gateways:
            found["nginx"] = get(host, "nginx_metrics_port")
        if monitoring and (host in edges or host in monitoring):
            found["node"] = _NODE_PORT
        if monitoring and host in edges:
            found["mtail"] = _MTAIL_PORT
        return found

    return {
        "shards": shards,
        "encoders": encoder,
        "gateways": gateway,
        "monitoring": monitoring[0] if monitoring else None,
        "scheme": scheme,
        "edges": [f"http://{address}" for address in replicas(edges, "http_port")],
        "hosts": {
            host: {
                "address": get(host, "address"),
                "authority": bracketed(get(host, "address")),
                "listen": listens(get(host, "address")),
                "services": list(services(host)),
                "pools": pools(host),
                "edge": edge(host),
                "monitoring": watcher(host),
                "exporters": exporters(host),
            }
            for host in everybody
        },
    }


def askfleet_port_errors(topology: Topology, hostvars: Mapping[str, Settings]) -> list[str]:
    """Name every port that two programs of one host would listen on.

    Args:
        topology: What `askfleet_topology` returns.
        hostvars: Variables of each host; `ansible_port` (22 without it) is sshd's.

    Returns:
        One message per collision: host, port, who wants it, and the fix.
    """
    errors = []
    for host, entry in topology["hosts"].items():
        sshd = int(hostvars[host].get("ansible_port", 22))
        wanted: dict[int, list[str]] = {sshd: ["sshd (ansible_port)"]}
        if entry["edge"]:
            wanted.setdefault(entry["edge"]["port"], []).append("edge (askfleet_http_port)")
            if entry["edge"]["tls"]:
                https = "edge (askfleet_https_port)"
                wanted.setdefault(entry["edge"]["https_port"], []).append(https)
        for one in entry["services"]:
            variable = "shard_base_port" if one["kind"] == "shard" else f"{one['kind']}_port"
            wanted.setdefault(one["port"], []).append(f"{one['name']} (askfleet_{variable})")
        for pool in entry["pools"]:
            variable = "encoder_pool_port" if pool["name"] == "encoder" else "shard_pool_base_port"
            wanted.setdefault(pool["port"], []).append(
                f"pool of {pool['name']} (askfleet_{variable})"
            )
        for name, port in [*entry["exporters"].items(), *(entry["monitoring"] or {}).items()]:
            wanted.setdefault(port, []).append(_WATCHING[name])
        errors += [
            f"{host}: port {port} is wanted by {' and '.join(who)}; give one of them another port"
            for port, who in wanted.items()
            if len(who) > 1
        ]
        errors += [
            f"{host}: {who[0]} would listen on port {port}, which is outside 1..65535"
            for port, who in wanted.items()
            if not 1 <= port <= 65535
        ]
    return errors


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by the name templates call them."""
        return {
            "topology": askfleet_topology,
            "port_errors": askfleet_port_errors,
        }

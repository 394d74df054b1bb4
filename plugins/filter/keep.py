"""Filters that refuse a change which takes away the last replica of something that is served."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Json = Mapping[str, Any]


class Pool(NamedTuple):
    """The replicas of one service: a shard, the encoder or the gateway.

    Attributes:
        service: name of the service on its hosts: shard-0, encoder, gateway.
        label: the same for people.
        hosts: hosts of the inventory that are to run it.
        replicas: address:port of each.
        kind: whose links say what it serves.
        part: its directory in a generation; "" for the whole.
    """

    service: str
    label: str
    hosts: Sequence[str]
    replicas: Sequence[str]
    kind: str
    part: str = ""


def pools_of(fleet: Json) -> list[Pool]:
    """Every pool that the inventory describes."""
    shards = [
        Pool(
            f"shard-{shard['id']}",
            f"shard {shard['id']}",
            shard["hosts"],
            shard["replicas"],
            "shard",
            f"shard-{shard['id']:03d}/",
        )
        for shard in fleet["shards"]
    ]
    encoders, gateways = fleet["encoders"], fleet["gateways"]
    return [
        *shards,
        Pool("encoder", "the encoder", encoders["hosts"], encoders["replicas"], "encoder"),
        Pool("gateway", "the gateway", gateways["hosts"], gateways["replicas"], "gateway"),
    ]


def askfleet_last_replicas(fleet: Json, looked: Mapping[str, Json]) -> list[str]:
    """Name what the inventory takes from its last healthy replica.

    A replica leaves where nginx asks it now, or its host has the data, and the inventory does not
    give it that service. It may leave where a replica that stays is healthy and has loaded what
    gateways serve. Hosts that are no longer in the inventory are known by what nginx asks. Where
    nothing is served, or nothing of it is left anywhere, nothing can be taken away.

    Args:
        fleet: the topology.
        looked: what the look at each host that answers registered.

    Returns:
        One line for each shard, the encoder or the gateway that would be lost, with the fix.
    """
    looks = {host: told["look"] for host, told in looked.items()}
    live = _live(looks)
    models = {
        str(held["model"])
        for look in looks.values()
        for generation, held in look["held"]["generations"].items()
        if generation in live
    }
    faults = []
    for pool in pools_of(fleet):
        ids = models if pool.kind == "encoder" else live
        leaving = _leaving(pool, fleet, looks, ids)
        missing = [one for one in sorted(ids) if not _stays(pool, fleet, looks, one)]
        # Gateways may be split between two generations: any of them answers.
        lost = len(missing) == len(ids) if pool.kind == "gateway" else bool(missing)
        if leaving and lost:
            faults.append(_refusal(pool, leaving, missing, sorted(live)))
    return faults


def askfleet_other_pools(fleet: Json, looks: Mapping[str, Json]) -> list[str]:
    """Name the hosts whose nginx asks other replicas than the inventory says.

    An update serves the new generation from the hosts of the inventory; gateways that ask other
    hosts would not find it.

    Args:
        fleet: the topology.
        looks: what each host that answers has and serves (the module look).
    """
    wanted = {pool.service: pool.replicas for pool in pools_of(fleet)}
    faults = []
    for host, look in looks.items():
        entry = fleet["hosts"][host]
        for service, asked in look["asked"].items() if entry["pools"] or entry["edge"] else ():
            told = wanted.get(service, ())
            if set(asked) != set(told):
                faults.append(
                    f"{host}: nginx asks {_list(sorted(asked))} for {service}, the inventory says "
                    f"{_list(told) or 'nobody'}: run site.yml first"
                )
    return faults


def _live(looks: Mapping[str, Json]) -> set[str]:
    """Generations that gateways serve: by their links, and by what edges hear from them."""
    linked = {_name(look["links"]["gateway"]["current"]) for look in looks.values()}
    asked = (look["asked"].get("gateway", {}).values() for look in looks.values())
    answered = {body["loaded"][0] for answers in asked for body in answers if body["loaded"]}
    return linked - {""} or answered


def _leaving(pool: Pool, fleet: Json, looks: Mapping[str, Json], ids: Iterable[str]) -> list[str]:
    """Replicas of a pool that the inventory does not have: host names, else addresses."""
    wanted = set(ids)
    names = {fleet["hosts"][host]["address"]: host for host in fleet["hosts"]}
    stay = {fleet["hosts"][host]["address"] for host in pool.hosts}
    asked = {
        names.get(_host(address), _host(address))
        for address, body in _asked(pool, looks).items()
        if _host(address) not in stay and _is_well(body["status"], body["loaded"], wanted)
    }
    holding = {
        host
        for host, look in looks.items()
        if host not in pool.hosts and any(_holds(pool, look, one) for one in wanted)
    }
    return sorted(asked | holding)


def _stays(pool: Pool, fleet: Json, looks: Mapping[str, Json], wanted: str) -> bool:
    """Whether a replica of the inventory is healthy and has loaded what is wanted."""
    well = {
        _host(address)
        for address, body in _asked(pool, looks).items()
        if _is_well(body["status"], body["loaded"], {wanted})
    }
    for host in pool.hosts:
        look = looks.get(host, {})
        if pool.service in look.get("drained", ()):
            continue
        body = look.get("health", {}).get(pool.service, {"status": "silent"})
        ids = (body.get("models") or body.get("generations") or {}).values()
        if _is_well(body["status"], ids, {wanted}) or fleet["hosts"][host]["address"] in well:
            return True
    return False


def _asked(pool: Pool, looks: Mapping[str, Json]) -> dict[str, Json]:
    """Every replica that some nginx asks for this service; the better answer of two."""
    found: dict[str, Json] = {}
    for look in looks.values():
        for address, body in look["asked"].get(pool.service, {}).items():
            if address not in found or body["status"] == "ok":
                found[address] = body
    return found


def _is_well(status: str, loaded: Iterable[str | None], wanted: set[str]) -> bool:
    return status == "ok" and bool(wanted & set(loaded))


def _holds(pool: Pool, look: Json, wanted: str) -> bool:
    """Whether a host's links name it, and its part lies on the disk."""
    if wanted not in {_name(target) for target in look["links"][pool.kind].values()}:
        return False
    files = look["held"]["models" if pool.kind == "encoder" else "generations"]
    return any(name.startswith(pool.part) for name in files.get(wanted, {}).get("files", ()))


def _refusal(
    pool: Pool, leaving: Sequence[str], missing: Sequence[str], live: Sequence[str]
) -> str:
    return (
        f"{pool.label}: the inventory takes it from {_list(leaving)}, and none of "
        f"{_list(pool.hosts)} serves {_list(missing)}: leave {_list(leaving)} in the inventory "
        f"beside {_list(pool.hosts)}, run site.yml and update_index.yml -e generation="
        f"{live[0] if live else 'ID'}, then take it out and run site.yml again"
    )


def _list(names: Iterable[str]) -> str:
    *most, last = list(names) or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _name(target: str) -> str:
    return target.rpartition("/")[2]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by the name templates call them."""
        return {
            "last_replicas": askfleet_last_replicas,
            "other_pools": askfleet_other_pools,
        }

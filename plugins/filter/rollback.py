"""Filters for the way back: what hosts keep as previous, who does not have it, and where to go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]


def askfleet_previous(looked: Mapping[str, Json], fleet: Json, new: Json) -> dict[str, Any]:
    """Say what an update leaves as previous, and which hosts do not have it.

    Args:
        looked: what the look at each host that answers registered.
        fleet: the topology.
        new: what is to be served (the record that the role generation makes).

    Returns:
        `generation` and `model`, "" where there is none; `missing`: the hosts without their part.
    """
    looks = _looks(looked)
    links = [looks[one]["links"]["gateway"] for one in fleet["gateways"]["hosts"] if one in looks]
    ids = [_name(link[name]) for name in ("current", "previous") for link in links]
    before = next((one for one in ids if one not in {"", new["generation"]}), "")
    held = (look["held"]["generations"].get(before, {}) for look in looks.values())
    model = next((str(told["model"]) for told in held if told), "")
    missing = [
        host
        for host, look in looks.items()
        if before and _is_missing(fleet["hosts"][host], look["held"], before, model)
    ]
    return {"generation": before, "model": model, "missing": missing}


def _is_missing(host: Json, held: Json, generation: str, model: str) -> bool:
    files = held["generations"].get(generation, {}).get("files", ())
    for service in host["services"]:
        if service["kind"] == "encoder":
            if model and model not in held["models"]:
                return True
            continue
        prefix = f"{service['part'] or 'routing'}/"
        if not any(name.startswith(prefix) for name in files):
            return True
    return False


def askfleet_target(looked: Mapping[str, Json], fleet: Json, wanted: str) -> dict[str, Any]:
    """Find what a rollback goes back to.

    One replica of each shard, one encoder and one gateway are enough: gateways ask the other
    replicas of a pool for what one has not loaded.

    Args:
        looked: what the look at each host that answers registered.
        fleet: the topology.
        wanted: an id, or `previous`.

    Returns:
        `faults`: why it cannot be; `behind`: what does not have the target, one line a service;
        `record`: `generation`, `model`, `documents`, `memory` of the target, and `without`: the
        gateways that do not have it.
    """
    looks = _looks(looked)
    gateways = [host for host in fleet["gateways"]["hosts"] if host in looks]
    if not gateways:
        return _no("No gateway answers.")
    ids = {_name(looks[g]["links"]["gateway"]["previous"]) for g in gateways} - {""}
    if wanted == "previous" and not ids:
        return _no("There is nothing to go back to: no gateway has a previous generation.")
    if wanted == "previous" and len(ids) > 1:
        return _no(
            f"The gateways differ in what they served before ({', '.join(sorted(ids))}): "
            "name one with -e generation=ID."
        )
    target = ids.pop() if wanted == "previous" else wanted
    held = {g: looks[g]["held"]["generations"].get(target) for g in gateways}
    first = next((told for told in held.values() if told), None)
    if first is None:
        return _no(_bring(f"No gateway has {target}", target))
    without = [g for g in gateways if not held[g]]
    behind = [f"{g}: gateway: it does not have {target}, and stops" for g in without]
    faults = []
    for name, hosts, service, needed in _pools(fleet, target, first["model"]):
        others = [host for host in hosts if not _serves(looks.get(host), service, needed)]
        if len(others) == len(hosts):
            faults.append(f"{name}: none of {', '.join(hosts)} is healthy and has {needed}")
        behind += [f"{host}: {service}: it has not loaded {needed}" for host in others]
    if faults:
        return _no(*faults, _bring(f"{target} is not complete", target))
    nothing = {"files": {}, "model_files": {}, "source": "", "model_source": ""}  # is shipped
    record = {"generation": target, "without": without, **nothing}
    record |= {name: first[name] for name in ("model", "documents", "memory")}
    return {"faults": [], "behind": behind, "record": record}


def _pools(
    fleet: Json, generation: str, model: str
) -> Iterable[tuple[str, Sequence[str], str, str]]:
    """For each shard and the encoder: its name, its hosts, its service and what that must serve."""
    for shard in fleet["shards"]:
        yield f"shard {shard['id']}", shard["hosts"], f"shard-{shard['id']}", generation
    yield "encoder", fleet["encoders"]["hosts"], "encoder", model


def _serves(look: Json | None, service: str, needed: str) -> bool:
    silent: Json = {"status": "silent"}
    body: Json = look["health"].get(service, silent) if look else silent
    ids = (body.get("models") or body.get("generations") or {}).values()
    return body["status"] == "ok" and needed in ids


def _no(*faults: str) -> dict[str, Any]:
    return {"faults": list(faults), "behind": [], "record": {}}


def _bring(fault: str, target: str) -> str:
    return f"{fault}: bring it with `ansible-playbook update_index.yml -e generation={target}`."


def _looks(looked: Mapping[str, Json]) -> dict[str, Json]:
    return {host: told["look"] for host, told in looked.items()}


def _name(target: str) -> str:
    return target.rpartition("/")[2]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by the name templates call them."""
        return {"previous": askfleet_previous, "target": askfleet_target}

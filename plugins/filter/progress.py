"""Filters that judge how far a change has come, and say where a host's links should point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

ALL = ("encoders", "shards", "gateways")
# Step -> the groups that take it, what it registers, the fact that says it is done, its name.
STEPS = {
    "look": (ALL, "activation_look", "", "being looked at"),
    "lock": (("gateways",), "activation_lock", "", "taking the lock"),
    "stage": (ALL, "staging_sent", "staging_done", "staging"),
    "rollout": (ALL, "services_rollout", "", "rolling out"),
    "encoder": (("encoders",), "", "activation_switched_encoder", "activating encoder"),
    "shard": (("shards",), "", "activation_switched_shard", "activating shard"),
    "confirm": (("encoders", "shards"), "activation_confirm", "", "confirming what it serves"),
    "preview": (("gateways",), "activation_preview", "activation_previewed", "a preview"),
    "gateway": (("gateways",), "", "activation_switched_gateway", "activating gateway"),
}


def askfleet_progress(
    hostvars: Mapping[str, Json],
    fleet: Json,
    groups: Mapping[str, Sequence[str]],
    steps: Sequence[str],
    allowed: int = 0,
    needed: Sequence[str] = ALL,
) -> dict[str, Any]:
    """Judge the steps taken so far.

    Args:
        hostvars: variables of each host: what steps registered, faults that were noted, and
            `activation_silent`, the kinds whose switch was not answered (a host of several groups
            registers each kind over the one before).
        fleet: the topology.
        groups: Ansible's `groups`.
        steps: names of STEPS that must be behind everybody.
        allowed: how many hosts may be lost.
        needed: groups whose hosts count as lost; others may be away, while every pool has one left.

    Returns:
        `faults`: what was noted, or why the lost hosts are too many; `lost`: hosts that did not
        answer; `behind`: hosts that have not done a step; `good`: whether the next step may begin.
    """
    names = ("activation_fault", "staging_fault", "services_fault")
    noted = [hostvars[host].get(name) for host in _members(ALL, groups) for name in names]
    faults = [fault for fault in noted if fault]
    lost: dict[str, str] = {}
    behind: list[str] = []
    for step in steps:
        takers, variable, fact, doing = STEPS[step]
        for host in _members(takers, groups):
            told = hostvars[host]
            result = told.get(variable) or {}
            done = told.get(fact) or told.get("ansible_facts", {}).get(fact) if fact else result
            if result.get("unreachable") or step in told.get("activation_silent", ()):
                lost.setdefault(host, f"{host}: {doing}: it does not answer (ssh)")
            elif not _done(done):
                behind.append(host)
    behind = [host for host in dict.fromkeys(behind) if host not in lost]
    counted = [lost[host] for host in _members(needed, groups) if host in lost]
    if len(counted) > allowed:
        faults += counted
    faults += _uncovered(fleet, lost) if lost else []
    return {
        "faults": faults,
        "lost": list(lost),
        "behind": behind,
        "good": not faults and not behind,
    }


def _members(names: Sequence[str], groups: Mapping[str, Sequence[str]]) -> Iterable[str]:
    return dict.fromkeys(host for name in names for host in groups.get(name, ()))


def _done(result: Any) -> bool:
    if not isinstance(result, Mapping):
        return bool(result)
    return bool(result) and not (result.get("failed") or result.get("skipped"))


def _uncovered(fleet: Json, lost: Mapping[str, str]) -> Iterable[str]:
    """What nobody would be left to serve."""
    pools = [(f"shard {shard['id']}", shard["hosts"]) for shard in fleet["shards"]]
    pools += [
        ("the encoder", fleet["encoders"]["hosts"]),
        ("the gateway", fleet["gateways"]["hosts"]),
    ]
    for name, hosts in pools:
        if not set(hosts) - set(lost):
            yield f"{', '.join(hosts)}: nobody is left to serve {name}: bring one of them back"


def askfleet_wanted(
    looks: Mapping[str, Json],
    gateways: Sequence[str],
    host: str,
    kind: str,
    new: Json,
    data_dir: str,
) -> dict[str, str]:
    """Say where a host's links of one kind should point.

    Args:
        looks: what each host that answers holds and serves.
        gateways: the gateway hosts.
        host: the host.
        kind: encoder, shard or gateway.
        new: `generation` and `model` to serve, the `files` that are shipped, and `previous`: the
            same for hosts that do not have what the others keep as previous.
        data_dir: directory of generations and models on a host.

    Returns:
        Targets of `current` and `previous`. A gateway's `previous` is what it leaves. Shards and
        encoders keep as `previous` what gateways serve now, so that nothing in use is ever
        unloaded; where they do not have it, the `previous` that they have. A gateway that does not
        have the generation, where nothing is shipped, serves none.
    """
    own = looks[host]["links"][kind]
    encodes = kind == "encoder"
    home = f"{data_dir}/{'models' if encodes else 'generations'}"
    wanted = new["model" if encodes else "generation"]
    held = set(looks[host]["held"]["models" if encodes else "generations"])
    if kind == "gateway" and not new["files"] and wanted not in held:
        return {"current": "", "previous": own["current"] or own["previous"]}
    current = f"{home}/{wanted}"
    before = new.get("previous") or {}
    if before.get("model_files" if encodes else "files"):
        held.add(before["model" if encodes else "generation"])
    links = [looks[one]["links"]["gateway"] for one in gateways if one in looks]
    ids = [_name(link[name]) for name in ("current", "previous") for link in links]
    if encodes:
        models = {
            generation: told["model"]
            for look in looks.values()
            for generation, told in look["held"]["generations"].items()
        }
        ids = [models.get(one, "") for one in ids]
    kept = [f"{home}/{one}" for one in ids if one in held]
    kept = (
        [own["current"], own["previous"], *kept] if kind == "gateway" else [*kept, own["previous"]]
    )
    previous = next((target for target in kept if target not in {"", current}), "")
    return {"current": current, "previous": previous}


def askfleet_stood_in(
    looks: Mapping[str, Json], host: str, fleet: Json, lost: Sequence[str]
) -> list[str]:
    """Name the services of a host for which another replica is there and well."""

    def well(other: str, service: str) -> bool:
        if other == host or other in lost or other not in looks:
            return False
        return bool(looks[other]["health"].get(service, {}).get("status") == "ok")

    pools = {"encoder": fleet["encoders"]["hosts"], "gateway": fleet["gateways"]["hosts"]}
    pools.update({f"shard-{shard['id']}": shard["hosts"] for shard in fleet["shards"]})
    names = [service["name"] for service in fleet["hosts"][host]["services"]]
    return [name for name in names if any(well(other, name) for other in pools[name])]


def askfleet_lack(
    health: Mapping[str, Json], generation: str, model: str, dangling: Sequence[str] = ()
) -> list[str]:
    """Name the services of a host that are not well, or lack what is about to be asked of them.

    Args:
        health: what each service says of itself.
        generation: what shards and gateways must have loaded.
        model: what encoders must have loaded.
        dangling: links of the host, as `kind/name`, whose target is gone.
    """
    faults = []
    for name, body in health.items():
        link = f"{name.partition('-')[0]}/current"
        ids = (body.get("models") or body.get("generations") or {}).values()
        wanted = model if name == "encoder" else generation
        if body["status"] == "silent" and link in dangling:
            faults.append(
                f"{name} cannot start: its link {link} is dangling: what it names is gone"
            )
        elif body["status"] != "ok":
            faults.append(f"{name} is {body['status']}")
        elif wanted not in ids:
            faults.append(f"{name} has not loaded {wanted}")
    return faults


def _name(target: str) -> str:
    return target.rpartition("/")[2]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by the name templates call them."""
        return {
            "progress": askfleet_progress,
            "wanted": askfleet_wanted,
            "stood_in": askfleet_stood_in,
            "lack": askfleet_lack,
        }

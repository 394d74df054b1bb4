"""A filter that plans an update: what it moves, and why it may not begin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.askfleet.fleet.plugins.filter.parts import (
    askfleet_parts,
    askfleet_previous_parts,
    bytes_to_send,
)

Json = Mapping[str, Any]

# Resident memory of one service process beside what it maps, in bytes; see docs/operations.md.
PROCESS = 65_000_000
# Free disk that a host keeps beside what is staged.
SPARE = 64_000_000


def askfleet_plan(
    fleet: Json, looks: Mapping[str, Json], new: Json, data_dir: str = ""
) -> dict[str, Any]:
    """Plan an update before anything is touched.

    Args:
        fleet: the topology.
        looks: what each host that answers holds and serves (the module look).
        new: what is to be served (the record that the role generation makes).
        data_dir: directory of generations and models on a host, for messages.

    Returns:
        `faults`: reasons not to begin, each naming host, bytes and fix; `lines`: the plan as
        people read it; `sends`: bytes by host; `live`: generations that gateways serve.
    """
    faults: list[str] = []
    rows = [("host", "sends", "of which", "restarts", "memory of indexes")]
    sends: dict[str, int] = {}
    live = _live(looks)
    for name, look in looks.items():
        services = fleet["hosts"][name]["services"]
        parts = askfleet_parts(fleet["hosts"][name], new, data_dir, "")
        by_part: Counter[str] = Counter()
        for part in [
            *parts,
            *askfleet_previous_parts(fleet["hosts"][name], new, look, data_dir, ""),
        ]:
            by_part.update(bytes_to_send(part, look))
        sends[name] = sum(by_part.values())
        before, after = _memory(services, look, live, new)
        faults += _space(name, look, sends[name], after + _mapped_beside(parts))
        faults += _lacking(name, look, parts)
        faults += _other_content(name, look, parts)
        faults += _unloadable(name, look)
        told = ", ".join(f"{k} {_readable(v)}" for k, v in sorted(by_part.items()))
        restarts = _restarts(services, look, new)
        memory = f"{_readable(before)} -> {_readable(after)}" if after else "-"
        rows.append((name, _readable(sends[name]), told or "-", restarts or "none", memory))
    was = " and ".join(live) or "nothing"
    head = (
        f"Generation {new['generation']} ({new['documents']} documents, {len(new['memory'])} "
        f"shards, model {new['model']}) after {was}; "
        f"{_readable(sum(sends.values()))} to send at most:"
    )
    return {"faults": faults, "lines": [head, *_table(rows)], "sends": sends, "live": live}


def _live(looks: Mapping[str, Json]) -> list[str]:
    """Generations that gateways' links name now."""
    named = {look["links"]["gateway"]["current"].rpartition("/")[2] for look in looks.values()}
    return sorted(named - {""})


def _memory(
    services: Sequence[Json], look: Json, live: Sequence[str], new: Json
) -> tuple[int, int]:
    """Bytes that this host's shards map now, and once they serve the new beside the live."""
    shards = [service["shard"] for service in services if service["kind"] == "shard"]
    previous = new.get("previous") or {}
    held = {previous.get("generation"): previous, **look["held"]["generations"]}

    def mapped(memory: Sequence[int]) -> int:
        return sum(int(memory[shard]) for shard in shards if shard < len(memory))

    links = look["links"]["shard"]
    now = {target.rpartition("/")[2] for target in links.values()} - {""}
    before = sum(mapped(held.get(one, {}).get("memory", [])) for one in now)
    kept = [one for one in live if one != new["generation"]]
    after = mapped(new["memory"]) + sum(mapped(held.get(o, {}).get("memory", [])) for o in kept)
    return before, after


def _mapped_beside(parts: Sequence[Json]) -> int:
    """Bytes of what a gateway and an encoder load: routing and model."""
    return sum(
        int(info["size"])
        for part in parts
        for name, info in part["files"].items()
        if part["kind"] == "model" or name.startswith("routing/")
    )


def _space(name: str, look: Json, sends: int, memory: int) -> list[str]:
    faults = []
    if sends and look["disk"]["free"] < sends + SPARE:
        faults.append(
            f"{name}: disk: {sends + SPARE} bytes are needed below the data directory, "
            f"{look['disk']['free']} are free: make room, or lower askfleet_keep_generations"
        )
    needed = memory + PROCESS * len(look["health"])
    if look["memory"]["available"] < needed:
        faults.append(
            f"{name}: memory: {needed} bytes are needed for what is new beside what is served, "
            f"{look['memory']['available']} are available: more memory, or more shards"
        )
    return faults


def _lacking(name: str, look: Json, parts: Sequence[Json]) -> list[str]:
    return [
        f"{name}: {part['name']} is neither here nor on the controller ({part['source']}): "
        "publish it again (python -m index_builder publish-model) or copy it there"
        for part in parts
        if not part["files"] and part["id"] not in look["held"]["models"]
    ]


def _other_content(name: str, look: Json, parts: Sequence[Json]) -> list[str]:
    """Refuse to replace what a host holds under the id of another content.

    An id stands for one content, so one of the two is not what was sealed. A model's fingerprint
    covers its files, and `model.json` may be written anew by the publisher.
    """
    held = look["held"]["generations"]
    return [
        f"{name}: {part['name']}: {part['path']}/manifest.json is not the controller's: one id, "
        f"two contents. If the controller's is right, remove that file on {name} and run this "
        f"again; if the host's is, remove {part['source']} here and run fetch_generation.yml"
        for part in parts
        if part["kind"] == "generation"
        and part["record"]
        and part["id"] in held
        and held[part["id"]]["record"] != part["record"]
    ]


def _unloadable(name: str, look: Json) -> list[str]:
    return [
        f"{name}: {service}: its unit is {state['LoadState']}: unmask it, or run site.yml"
        for service, state in look["units"].items()
        if state.get("LoadState", "loaded") != "loaded"
    ]


def _restarts(services: Sequence[Json], look: Json, new: Json) -> str:
    """Units that restart; a running gateway follows its link, a shard maps its files."""
    found = []
    for service in services:
        wanted = new["model" if service["kind"] == "encoder" else "generation"]
        linked = look["links"][service["kind"]]["current"].rpartition("/")[2]
        whole = look["whole"].get(f"generation {wanted}", True)
        mended = service["kind"] == "shard" and not whole
        if mended or (linked != wanted and not (service["kind"] == "gateway" and linked)):
            found.append(service["unit"].removeprefix("askfleet-"))
    return ", ".join(found)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _readable(count: int) -> str:
    """Write a number of bytes as people read it."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by the name templates call them."""
        return {"plan": askfleet_plan}

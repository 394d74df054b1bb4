"""Filters that say what each host has to hold of a generation, and what an update would move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

# Resident memory of one service process beside what it maps, in bytes; see docs/operations.md.
PROCESS = 65_000_000
# Free disk that a host keeps beside what is staged.
SPARE = 64_000_000

# Directories that rsync takes as --link-dest.
MOST_BASES = 20

_SENT = "Total bytes sent: "  # rsync --stats


def askfleet_parts(host: Json, new: Json, data_dir: str, program: str) -> list[dict[str, Any]]:
    """List what a host must hold: its part of the generation, and the model where it encodes.

    Args:
        host: the host's entry of the topology.
        new: what is to be served (the record that the role generation makes).
        data_dir: directory of generations and models on the host.
        program: the command askfleet on the host.

    Returns:
        Parts, each with `name`, `kind`, `id`, `home`, `path`, `staged`, `source`, `files` (name ->
        size, sha256), `record` (the sha256 of manifest.json or model.json), `filters` (of rsync)
        and `verify` (the command that checks it, the directory to be added).
    """
    kinds = {service["kind"] for service in host["services"]}
    shards = [service for service in host["services"] if service["kind"] == "shard"]
    parts = []
    if kinds & {"shard", "gateway"}:
        prefixes = [f"{service['part']}/" for service in shards]
        prefixes += ["routing/"] if "gateway" in kinds else []
        single = ["manifest.json", *(["canaries.jsonl"] if "gateway" in kinds else [])]
        include = [f"/{name}" for name in single] + [f"/{prefix}***" for prefix in prefixes]
        options = [f"--shard={service['shard']}" for service in shards]
        options += ["--routing"] if "gateway" in kinds else []
        parts.append(
            {
                "name": f"generation {new['generation']}",
                "kind": "generation",
                "id": new["generation"],
                "home": f"{data_dir}/generations",
                "source": new["source"],
                "files": {
                    name: info
                    for name, info in new["files"].items()
                    if name in single or name.startswith(tuple(prefixes))
                },
                "filters": [*(f"--include={one}" for one in include), "--exclude=*"],
                "verify": [program, "verify", *options],
            }
        )
    if "encoder" in kinds:
        parts.append(
            {
                "name": f"model {new['model']}",
                "kind": "model",
                "id": new["model"],
                "home": f"{data_dir}/models",
                "source": new["model_source"],
                "files": new["model_files"],
                "filters": [],
                "verify": [program, "verify-model"],
            }
        )
    for part in parts:
        record = "model.json" if part["kind"] == "model" else "manifest.json"
        part["record"] = part["files"].get(record, {}).get("sha256", "")
        part["path"] = f"{part['home']}/{part['id']}"
        part["staged"] = f"{part['home']}/.staging-{part['id']}"
    return parts


def askfleet_previous_parts(
    host: Json, new: Json, look: Json, data_dir: str, program: str
) -> list[dict[str, Any]]:
    """List what a host does not have of the generation that the others keep as previous.

    Args:
        host: the host's entry of the topology.
        new: what is to be served; its `previous`, where there is one, is a record of the same kind.
        look: what the host has.
        data_dir: directory of generations and models on the host.
        program: the command askfleet on the host.
    """
    if not new.get("previous"):
        return []
    own = {new["generation"], new["model"]}
    parts = askfleet_parts(host, new["previous"], data_dir, program)
    return [part for part in parts if part["files"] and part["id"] not in own | _whole(part, look)]


def _whole(part: Json, look: Json) -> set[str]:
    """The part's id, where the host has all files of it; the sizes are right, says the look."""
    held = look["held"][f"{part['kind']}s"].get(part["id"])
    if held is None:
        return set()
    records = {"manifest.json", "model.json"}  # read, or the directory would not be listed
    wanted = {name: info["sha256"] for name, info in part["files"].items() if name not in records}
    # Ansible's own dictionaries have no comparable views.
    whole = all(held["files"].get(name) == sha256 for name, sha256 in wanted.items())
    return {part["id"]} if whole else set()


def askfleet_bases(part: Json, look: Json) -> list[str]:
    """List the sealed directories of a host that rsync compares a part with, the most alike first.

    Every directory that shares a file with the part counts, served or not: the same generation,
    damaged, above all. What is served is always among them, for the differences of other files.
    """
    shared = {
        name: sum(
            int(info["size"])
            for file, info in part["files"].items()
            if told["files"].get(file) == info["sha256"]
        )
        for name, told in look["held"][f"{part['kind']}s"].items()
    }
    kinds = ["encoder"] if part["kind"] == "model" else ["shard", "gateway"]
    served = {look["links"][kind]["current"].rpartition("/")[2] for kind in kinds}
    alike = sorted(
        (name for name, size in shared.items() if size or name in served),
        key=lambda name: (shared[name], name in served),
        reverse=True,
    )
    return [f"{part['home']}/{name}" for name in alike[:MOST_BASES]]


def bytes_to_send(part: Json, look: Json) -> dict[str, int]:
    """Bytes that the host has not got: by directory of a generation, or of the model.

    A generation's own files, which lie in no directory of it, are its `records`. A file counts
    whole; what rsync saves by sending differences comes off it.
    """
    if look["whole"].get(part["name"]):
        return {}
    # Of the part itself, where it is here and not whole, only what was checked counts.
    held = look["held"][f"{part['kind']}s"]
    has = [told["files"] for name, told in held.items() if name != part["id"]]
    has.append(
        {name: part["files"][name]["sha256"] for name in look["sound"].get(part["name"], ())}
    )
    sends: dict[str, int] = {}
    for name, info in part["files"].items():
        if not any(files.get(name) == info["sha256"] for files in has):
            first = name.partition("/")[0] if "/" in name else "records"
            where = "model" if part["kind"] == "model" else first
            sends[where] = sends.get(where, 0) + int(info["size"])
    return sends


def askfleet_bytes(part: Json, look: Json) -> int:
    """Add up the bytes of a part that the host has not got."""
    return sum(bytes_to_send(part, look).values())


def askfleet_sent(sendings: Iterable[Json]) -> int:
    """Add up the bytes that rsync says it sent, of what sending registered on each host."""
    told = (str(one.get("msg", "")) for sending in sendings for one in sending.get("results", ()))
    sent = (line for text in told for line in text.splitlines() if line.startswith(_SENT))
    return sum(int(line.removeprefix(_SENT).replace(",", "")) for line in sent)


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
        return {
            "parts": askfleet_parts,
            "previous_parts": askfleet_previous_parts,
            "bases": askfleet_bases,
            "bytes": askfleet_bytes,
            "plan": askfleet_plan,
            "sent": askfleet_sent,
        }

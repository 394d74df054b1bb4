"""Filters that say what each host has to hold of a generation, and what of it it lacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Json = Mapping[str, Any]

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


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by the name templates call them."""
        return {
            "parts": askfleet_parts,
            "previous_parts": askfleet_previous_parts,
            "bases": askfleet_bases,
            "bytes": askfleet_bytes,
            "sent": askfleet_sent,
        }

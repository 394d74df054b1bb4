"""A fleet of six hosts, and what a look at each of them says."""

from __future__ import annotations

from typing import Any

import yaml
from ansible_sources import ROOT, load_filter

_topology = load_filter("topology")

DATA = "/srv/askfleet"
A, B, C, D = (f"2026110{day}T000000Z-0000000{day}" for day in range(1, 5))
M1, M2 = "1" * 16, "2" * 16
GROUPS = {
    "edge": ["gateway-1"],
    "gateways": ["gateway-1", "gateway-2"],
    "encoders": ["encoder-1", "encoder-2"],
    "shards": ["shard-a", "shard-b"],
}
SHARDS = {"shard-a": [0, 1], "shard-b": [1]}
# Of every generation here: two shards, and a gateway's part.
SIZES = {
    "manifest.json": 10,
    "canaries.jsonl": 20,
    "routing/centroids.npy": 3_000,
    "shard-000/index.faiss": 40_000,
    "shard-000/documents.bin": 500_000,
    "shard-001/index.faiss": 6_000_000,
}
MODEL_SIZES = {"model.json": 7, "model.onnx": 80_000_000}
MEMORY = [540_000, 6_000_000]


def fleet_of(
    groups: dict[str, list[str]],
    shards: dict[str, list[int]],
    addresses: dict[str, str] | None = None,
) -> dict[str, Any]:
    """The topology of some hosts with two shards; a host's address is its name, or as given."""
    text = (ROOT / "roles/askfleet/meta/argument_specs.yml").read_text()
    specs = yaml.safe_load(text)["argument_specs"]["inventory"]["options"]
    hosts = {host for members in groups.values() for host in members}
    hostvars: dict[str, dict[str, Any]] = {
        host: {"askfleet_shard_count": 2, "shards": shards.get(host)} for host in hosts
    }
    for host, address in (addresses or {}).items():
        hostvars[host]["askfleet_address"] = address
    found: dict[str, Any] = _topology.askfleet_topology(groups, hostvars, specs)
    return found


FLEET = fleet_of(GROUPS, SHARDS)


def files(sizes: dict[str, int], seal: str) -> dict[str, dict[str, Any]]:
    """Files of a sealed directory whose contents are all its own."""
    return {name: {"size": size, "sha256": f"{seal} {name}"} for name, size in sizes.items()}


def record(generation: str, model: str = M1) -> dict[str, Any]:
    """What the role generation says of a generation that is to be served."""
    return {
        "generation": generation,
        "model": model,
        "documents": 60,
        "memory": MEMORY,
        "files": files(SIZES, generation),
        "model_files": files(MODEL_SIZES, model),
        "source": f"/build/generations/{generation}",
        "model_source": f"/build/models/{model}",
    }


def place(name: str) -> str:
    """Where a host keeps a generation or a model; "" for none."""
    home = "models" if name in {M1, M2} else "generations"
    return f"{DATA}/{home}/{name}" if name else ""


def links(current: str = "", previous: str = "") -> dict[str, str]:
    """Where `current` and `previous` point."""
    return {"current": place(current), "previous": place(previous)}


def look(host: str, *served: str, holds: tuple[str, ...] = (), **other: Any) -> dict[str, Any]:
    """What a host that serves `current` and `previous` says of itself, and holds besides.

    The model of D is M2, of the other generations M1; an encoder is told models.
    """
    kinds = {service["kind"] for service in FLEET["hosts"][host]["services"]}
    parts = {service["part"] for service in FLEET["hosts"][host]["services"]}
    own = [*served, *holds]
    generations = {
        name: {
            "record": f"{name} manifest.json",
            "files": {
                file: info["sha256"]
                for file, info in files(SIZES, name).items()
                if not file.startswith("shard-") or file.partition("/")[0] in parts
            },
            "memory": MEMORY,
            "model": M2 if name == D else M1,
            "documents": 60,
        }
        for name in own
        if name not in {"", M1, M2}
    }
    models = {
        name: {
            "record": f"{name} model.json",
            "files": {f: i["sha256"] for f, i in files(MODEL_SIZES, name).items()},
        }
        for name in own
        if name in {M1, M2}
    }
    loaded = dict(zip(("current", "previous"), served, strict=False))
    health = {
        service["name"]: {
            "status": "ok",
            "models" if service["kind"] == "encoder" else "generations": loaded,
        }
        for service in FLEET["hosts"][host]["services"]
    }
    return {
        "links": {
            kind: links(*served) if kind in kinds else links()
            for kind in ("encoder", "shard", "gateway")
        },
        "held": {"generations": generations, "models": models},
        "sound": {},
        "whole": {},
        "health": health,
        "units": {name: {"LoadState": "loaded"} for name in health},
        "disk": {"free": 10**12},
        "memory": {"available": 10**12},
        "lock": {},
        "asked": {},
        **other,
    }


def asked(fleet: Any, seen: dict[str, Any], host: str) -> dict[str, Any]:
    """What nginx of a gateway host or an edge hears from the replicas of an inventory."""
    entry, found = fleet["hosts"][host], {}
    pools = {f"shard-{shard['id']}": shard for shard in fleet["shards"]} if entry["pools"] else {}
    pools |= {"encoder": fleet["encoders"]} if entry["pools"] else {}
    pools |= {"gateway": fleet["gateways"]} if entry["edge"] else {}
    for service, pool in pools.items():
        found[service] = {}
        for replica, other in zip(pool["replicas"], pool["hosts"], strict=True):
            body = seen[other]["health"][service]
            ids = body.get("models") or body.get("generations") or {}
            loaded = [one for one in map(ids.get, ("current", "previous")) if one]
            found[service][replica] = {"status": body["status"], "loaded": loaded}
    return found


def looks(generations: tuple[str, ...] = (), models: tuple[str, ...] = ()) -> dict[str, Any]:
    """A fleet at rest: everybody serves the same."""
    seen = {
        host: look(host, *(models if host in GROUPS["encoders"] else generations))
        for group in ("encoders", "shards", "gateways")
        for host in GROUPS[group]
    }
    for host, told in seen.items():
        told["asked"] = asked(FLEET, seen, host)
    return seen

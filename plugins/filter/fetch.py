"""Filters that say what a controller that has lost a generation fetches, and from which host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]


def askfleet_choice(looks: Mapping[str, Json], gateways: Sequence[str], wanted: str) -> Json:
    """Choose the generation to fetch, and the hosts to read its manifest and its model's from.

    Where hosts disagree about a manifest, the one that most of them hold is read. It is accepted
    only when its content hash gives its id, so a wrong one is refused, never fetched.

    Args:
        looks: what each host that answers holds and serves (the module look).
        gateways: the gateway hosts.
        wanted: an id; "" for what the gateways serve.

    Returns:
        `faults`: why there is nothing to fetch; `generation` and `model`: ids; `generation_host`
        and `model_host`: who holds the record of each, "" for nobody.
    """
    served = {looks[g]["links"]["gateway"]["current"] for g in gateways if g in looks}
    live = sorted({target.rpartition("/")[2] for target in served} - {""})
    if not wanted and len(live) != 1:
        told = " and ".join(live) or "no generation"
        return _none(f"The gateways that answer serve {told}: name one with -e generation=ID.")
    generation = wanted or live[0]
    host = _holder(looks, "generations", generation)
    if not host:
        held = {name for look in looks.values() for name in look["held"]["generations"]}
        told = ", ".join(sorted(held)) or "none"
        return _none(f"No host that answers holds generation {generation}. They hold: {told}.")
    model = looks[host]["held"]["generations"][generation]["model"]
    return {
        "faults": [],
        "generation": generation,
        "model": model,
        "generation_host": host,
        "model_host": _holder(looks, "models", model),
    }


def _none(fault: str) -> Json:
    return {
        "faults": [fault],
        "generation": "",
        "model": "",
        "generation_host": "",
        "model_host": "",
    }


def _holder(looks: Mapping[str, Json], home: str, name: str) -> str:
    """The first host with the record that most hosts hold; "" for none."""
    found = {host: look["held"][home].get(name) for host, look in looks.items()}
    records = {host: told["record"] for host, told in found.items() if told}
    if not records:
        return ""
    [(most, _)] = Counter(records.values()).most_common(1)
    return next(host for host, record in records.items() if record == most)


def askfleet_pieces(
    choice: Json, manifest: Json, model: Json, data_dir: str, staged: Mapping[str, str]
) -> list[dict[str, Any]]:
    """List what has to be fetched, in pieces that one host can give.

    Args:
        choice: of askfleet_choice.
        manifest: the generation's manifest; {} where the controller has the generation.
        model: the model's record; {} where the controller has the model.
        data_dir: directory of generations and models on a host.
        staged: where generation and model arrive on the controller: paths by `generations`,
            `models`.

    Returns:
        Pieces, each with `name`, `path` (on the host), `staged` (on the controller), `files` (name
        -> size, sha256), `size` in bytes and `filters` (of rsync).
    """
    generation, fingerprint = choice["generation"], choice["model"]
    pieces: dict[str, dict[str, Any]] = {}
    for name, info in manifest.get("files", {}).items():
        first, slash, _ = name.partition("/")
        piece = pieces.setdefault(
            first,
            {
                "name": f"{first} of generation {generation}",
                "path": f"{data_dir}/generations/{generation}",
                "staged": staged["generations"],
                "files": {},
                "filters": [f"--include=/{first}{'/***' if slash else ''}", "--exclude=*"],
            },
        )
        piece["files"][name] = info
    if model:
        pieces["model"] = {
            "name": f"model {fingerprint}",
            "path": f"{data_dir}/models/{fingerprint}",
            "staged": staged["models"],
            "files": model["files"],
            "filters": ["--exclude=/model.json"],
        }
    for piece in pieces.values():
        piece["size"] = sum(int(info["size"]) for info in piece["files"].values())
    return list(pieces.values())


def askfleet_piece_hosts(
    pieces: Iterable[Json], looks: Mapping[str, Json], members: Iterable[str]
) -> dict[str, Any]:
    """Choose for each piece a host that holds it whole; of several, the one with least to send.

    Args:
        pieces: of askfleet_pieces.
        looks: what each host that answers holds; `whole` and `sound` by piece.
        members: all hosts.

    Returns:
        `faults`: pieces that nobody has whole; `hosts`: host by piece; `lines`: what people read.
    """
    loads = dict.fromkeys(looks, 0)
    silent = ", ".join(host for host in members if host not in looks)
    faults: list[str] = []
    hosts: dict[str, str] = {}
    lines: list[str] = []
    for piece in pieces:
        name = piece["name"]
        whole = [host for host, look in looks.items() if look["whole"].get(name)]
        if not whole:
            damaged = ", ".join(host for host, look in looks.items() if look["sound"].get(name))
            fault = f"{name} is whole on no host that answers"
            fault += f" (damaged on {damaged})" if damaged else ""
            fix = f"bring {silent} back and run this again, or " if silent else ""
            faults.append(f"{fault}: {fix}restore var/ from a backup, or build from the corpus")
            continue
        hosts[name] = host = min(whole, key=lambda one: loads[one])
        loads[host] += piece["size"]
        lines.append(f"{name}: {piece['size']:,} bytes from {host}")
    return {"faults": faults, "hosts": hosts, "lines": lines}


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by the name templates call them."""
        return {
            "choice": askfleet_choice,
            "pieces": askfleet_pieces,
            "piece_hosts": askfleet_piece_hosts,
        }

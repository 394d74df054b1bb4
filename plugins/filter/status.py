"""Filters that write what the fleet serves as a table, name what differs, tell its history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]
HEAD = ("host", "service", "release", "current", "previous", "model", "health", "documents")


def askfleet_status(
    fleet: Json, looked: Mapping[str, Json], groups: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Compare every host and service with the rest of the fleet.

    Args:
        fleet: the topology.
        looked: what the look at each host registered; without `look` where it did not answer.
        groups: Ansible's `groups`.

    Returns:
        `rows`: one a service, its cells by name, and `faults`: what is wrong with it; `lines`: the
        same as a table; `faults`: every inconsistency, host and service named; `serves`: what the
        gateways serve, in words.
    """
    looks = {host: told["look"] for host, told in looked.items() if "look" in told}
    usual = _usual(looks, groups)
    rows: list[dict[str, Any]] = []
    faults: list[str] = []
    for host in fleet["hosts"]:
        services = fleet["hosts"][host]["services"]
        if services and host not in looks:
            rows.append(_told((host, *["?"] * 7), ["no answer"]))
            faults.append(f"{host}: it does not answer (ssh)")
            continue
        for service in services:
            wrong = list(_wrong(looks[host], service, usual))
            rows.append(_told(_row(host, looks[host], service), wrong))
            faults += [f"{host}: {service['name']}: {fault}" for fault in wrong]
    faults += _locks(looks)
    live = usual["generation"] or "no generation"
    model, release = usual["model"] or "none", usual["release"] or "none"
    serves = f"The gateways serve {live}, model {model}, release {release}."
    if usual["shards"] not in {"", live}:
        serves += f" Shards hold {usual['shards']} too: it was rolled back."
    lines = [(*HEAD, ""), *(tuple(map(_cell, row.values())) for row in rows)]
    return {"rows": rows, "lines": _table(lines), "faults": faults, "serves": serves}


def _told(cells: Sequence[str], wrong: Sequence[str]) -> dict[str, Any]:
    return {**dict(zip(HEAD, cells, strict=True)), "faults": list(wrong)}


def _cell(told: Any) -> str:
    """What is in the table: a cell, or the faults at the end of a row."""
    return told if isinstance(told, str) else f"<- {'; '.join(told)}" if told else ""


def _usual(looks: Mapping[str, Json], groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What most of the fleet runs and serves; one that differs from it is inconsistent."""

    def most(values: Iterable[str], rather: str = "") -> str:
        found = Counter(value for value in values if value)
        return min(found, key=lambda one: (-found[one], one != rather, one)) if found else ""

    def linked(group: str, kind: str) -> Iterable[str]:
        hosts = (host for host in groups[group] if host in looks)
        return (_name(looks[host]["links"][kind]["current"]) for host in hosts)

    generation = most(linked("gateways", "gateway"))
    held = (look["held"]["generations"].get(generation, {}) for look in looks.values())
    model = most(told.get("model", "") for told in held)
    return {
        "release": most(look["release"] for look in looks.values()),
        "generation": generation,
        "shards": most(linked("shards", "shard"), generation),
        "encoders": most(linked("encoders", "encoder"), model),
        "model": model,
    }


def _wrong(look: Json, service: Json, usual: Mapping[str, str]) -> Iterable[str]:
    kind, body = service["kind"], look["health"][service["name"]]
    current = _name(look["links"][kind]["current"])
    unit = look["units"].get(service["name"], {})
    if look["release"] != usual["release"]:
        yield f"others run release {usual['release']}"
    if unit.get("LoadState", "loaded") != "loaded":
        yield f"its unit is {unit['LoadState']}"
    elif unit.get("UnitFileState", "enabled") != "enabled":
        yield f"its unit is {unit['UnitFileState']}: it will not start at boot"
    if service["name"] in look["drained"]:
        yield "it is drained"
    yield from look.get("damage", {}).get(service["name"], ())
    if not current:
        if usual["generation"]:
            yield "it has nothing to serve"
        return
    gone = [link for link in look.get("dangling", ()) if link.startswith(f"{kind}/")]
    yield from (f"its link {link} is dangling: what it names is gone" for link in gone)
    dangling = f"{kind}/current" in gone
    store = "models" if kind == "encoder" else "generations"
    if not dangling and current not in look["held"][store]:
        link = look["links"][kind]["current"]
        yield f"{link} is not on its disk, or damaged: run update_index.yml -e generation=… again"
    if body["status"] != "ok":
        if not dangling or body["status"] != "silent":
            yield f"it is {body['status']}{': ' + body['fault'] if body.get('fault') else ''}"
        return
    ids = body.get("models") or body.get("generations") or {}
    if ids.get("current") != current:
        yield f"it serves {ids.get('current')}, not what its link says"
    if body.get("release") not in {look["release"], None}:
        yield f"it was started with release {body['release']}"
    expected = {"gateway": "generation", "shard": "shards", "encoder": "encoders"}[kind]
    if current != usual[expected]:
        yield f"others serve {usual[expected]}"
    needed = usual["model"] if kind == "encoder" else usual["generation"]
    if needed and needed not in ids.values():
        yield f"it has not loaded {needed}, which gateways ask for"


def _row(host: str, look: Json, service: Json) -> tuple[str, ...]:
    body = look["health"][service["name"]]
    links = look["links"][service["kind"]]
    return (
        host,
        service["name"],
        look["release"] or "none",
        _name(links["current"]) or "-",
        _name(links["previous"]) or "-",
        str(body.get("model", "-")),
        body["status"] if links["current"] or body["status"] != "silent" else "waits for an index",
        str(body.get("documents", "-")),
    )


def _locks(looks: Mapping[str, Json]) -> list[str]:
    held = {str(look["lock"].get("run")): look["lock"] for look in looks.values() if look["lock"]}
    return [
        f"lock: {lock.get('by', '?')} has held it since {lock.get('since', '?')} "
        f"({lock.get('what', '?')}): if that has ended, run the same again"
        for lock in held.values()
    ]


def askfleet_journal(looked: Mapping[str, Json]) -> list[dict[str, Any]]:
    """Put the journals of all hosts together, oldest first; each entry names its host."""
    entries = [
        {**entry, "host": host}
        for host, told in looked.items()
        for entry in told.get("look", {}).get("journal", [])
    ]
    return sorted(entries, key=lambda entry: (str(entry.get("time")), entry["host"]))


def askfleet_history(looked: Mapping[str, Json]) -> list[str]:
    """Write the journals of all hosts as one table, oldest first."""
    rows: list[tuple[str, ...]] = [
        ("time", "host", "what", "kind", "to", "result", "seconds", "by")
    ]
    for entry in askfleet_journal(looked):
        to = entry.get("to", "")
        target = _name(to.get("current", "")) or "nothing" if isinstance(to, Mapping) else str(to)
        told = [str(entry.get(name, "-")) for name in ("what", "kind")]
        end = [str(entry.get(name, "-")) for name in ("result", "seconds", "by")]
        rows.append((str(entry.get("time")), entry["host"], *told, target, *end))
    return _table(rows)


def _name(target: str) -> str:
    return target.rpartition("/")[2]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by the name templates call them."""
        return {
            "status": askfleet_status,
            "history": askfleet_history,
            "journal": askfleet_journal,
        }

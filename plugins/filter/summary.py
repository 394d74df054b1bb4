"""Filters for the end of a change: where every host is afterwards, and a summary of a failure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

LINES = 10  # of a summary, at most
_FAULTS, _STATE = 3, 3  # of these, at most
_WIDTH = 240  # characters of a line


def askfleet_verdict(
    hostvars: Mapping[str, Json], members: Sequence[str], fleet: Json
) -> dict[str, Any]:
    """Compare what every host links and serves after a change that failed with what was before.

    Args:
        hostvars: variables of each host: `activation_look` is what the look at it registered
            before the change, `activation_after` the same after everything has been put back that
            could be; without `look` where it did not answer.
        members: the hosts that run services.
        fleet: the topology.

    Returns:
        `same`: hosts that link and serve what they did; `moved`: one line for each other host that
        was asked, with what it serves now; `unknown`: one line for each host that could not be
        asked; `live`: the generations that gateways say they serve now.
    """
    same, moved, unknown = [], [], []
    looks = {host: _looked(hostvars[host], "activation_after") for host in members}
    for host, now in looks.items():
        was = _looked(hostvars[host], "activation_look")
        services = fleet["hosts"][host]["services"]
        if now is None:
            served = f"before, it served {_serving(was, services)}; " if was else ""
            unknown.append(f"{host} could not be asked: {served}what it serves now is not known")
        elif was is None:
            told = _serving(now, services)
            moved.append(f"{host} serves {told}; what it served before is not known")
        elif differences := list(_differences(was, now, services)):
            moved.append(f"{host} is not where it was: {'; '.join(differences)}")
        else:
            same.append(host)
    asked = [look for look in looks.values() if look and "gateway" in look["health"]]
    live = {_current(look["health"]["gateway"]) for look in asked}
    return {"same": same, "moved": moved, "unknown": unknown, "live": sorted(live - {""})}


def _looked(told: Json, name: str) -> Json | None:
    """What a look registered, None where the host did not answer it."""
    return (told.get(name) or {}).get("look")


def _differences(was: Json, now: Json, services: Sequence[Json]) -> Iterator[str]:
    for kind in dict.fromkeys(service["kind"] for service in services):
        for name, target in now["links"][kind].items():
            if target != was["links"][kind][name]:
                old = _name(was["links"][kind][name]) or "nothing"
                yield f"{kind}/{name} names {_name(target) or 'nothing'}, before {old}"
    if was.get("release") != now.get("release"):
        yield f"its release is {now.get('release')}, before {was.get('release')}"
    for service in services:
        old, new = (look["health"][service["name"]] for look in (was, now))
        # A service that was not well before is not held against the change.
        if old["status"] == "ok" and _state(new) != _state(old):
            yield f"{service['name']} {_state(new)}, before {_state(old)}"


def _state(body: Json) -> str:
    release = f", release {body['release']}" if body.get("release") else ""
    return f"is {body['status']}, serving {_current(body) or 'nothing'}{release}"


def _serving(look: Json, services: Sequence[Json]) -> str:
    ids = [_current(look["health"].get(service["name"], {})) for service in services]
    return " and ".join(dict.fromkeys(filter(None, ids))) or "nothing"


def _current(body: Json) -> str:
    ids = body.get("models") or body.get("generations") or {}
    return str(ids.get("current") or "")


def askfleet_unwritten(hostvars: Mapping[str, Json], members: Sequence[str]) -> list[str]:
    """Name the hosts whose journal misses an entry of this run, and why.

    Args:
        hostvars: variables of each host, with what its switches and rollouts returned.
        members: the hosts that run services.
    """
    found = []
    for host in members:
        told = hostvars[host]
        facts = told.get("ansible_facts", {})
        results = [told.get(name) for name in ("services_rollout", "services_back")]
        for kind in ("encoder", "shard", "gateway"):
            results.append(told.get(f"activation_switched_{kind}"))
            results.append(facts.get(f"activation_switched_{kind}"))
        reasons = [*told.get("activation_unwritten", ())]
        reasons += [result.get("unwritten", "") for result in results if result]
        found += [f"{host}: {reason}" for reason in dict.fromkeys(reasons) if reason]
    return found


def askfleet_staged(
    hostvars: Mapping[str, Json], members: Sequence[str], generation: str
) -> list[str]:
    """Name the hosts that hold a generation which none of their links names, or half of one."""
    hosts = []
    for host in members:
        look = _looked(hostvars[host], "activation_after")
        if look is None:
            continue
        links = {_name(target) for kind in look["links"].values() for target in kind.values()}
        unused = generation in look["held"]["generations"] and generation not in links
        if unused or look["unfinished"]:
            hosts.append(host)
    return hosts


def askfleet_removed(hostvars: Mapping[str, Json], members: Sequence[str]) -> list[str]:
    """Write what pruning has removed, or would remove: a line a host."""
    told = {host: (hostvars[host].get("staging_pruned") or {}).get("removed") for host in members}
    return [f"{host}: {', '.join(removed)}" for host, removed in told.items() if removed]


def askfleet_summary(told: Json) -> list[str]:
    """Sum up a change that failed in at most LINES lines.

    Args:
        told: `what` (what was to be done), `faults` (what was noted, the first first), `verdict`
            (see askfleet_verdict), `unwritten` (see askfleet_unwritten), `staged` (hosts, see
            askfleet_staged) of `generation`, `locks` (hosts that kept the lock, and why).
    """
    verdict = told["verdict"]
    lines = [f"{told['what'][0].upper()}{told['what'][1:]} failed."]
    lines += _first("why", told["faults"] or ["no reason was noted: see the plays above"], _FAULTS)
    lines += _state_lines(verdict)
    notes = []
    if told["unwritten"]:
        notes.append(f"journal: {_some(told['unwritten'])}")
    if told["staged"]:
        notes.append(
            f"staged: {told['generation']} stays on {', '.join(told['staged'])} and nothing there "
            "serves it; the same command uses it, `ansible-playbook prune.yml` removes it"
        )
    if told["locks"]:
        notes.append(f"lock: {_some(told['locks'])}: the next run on this controller takes it over")
    room = LINES - len(lines) - 1
    lines += notes if len(notes) <= room else [*notes[: room - 1], "; ".join(notes[room - 1 :])]
    again = "next: remove the cause, then run the same command again"
    if verdict["moved"] or verdict["unknown"]:
        again += "; `ansible-playbook status.yml` shows what each host serves"
    return [_short(line) for line in [*lines, f"{again}."]]


def _state_lines(verdict: Json) -> list[str]:
    serves = f"the gateways serve {' and '.join(verdict['live']) or 'nothing'}"
    same, away = verdict["same"], [*verdict["moved"], *verdict["unknown"]]
    asked = "links and /health were read after the failure"
    if not away:
        return [f"state: {asked}: all {len(same)} hosts are where they were; {serves}"]
    rest = f"the other {len(same)} hosts are where they were" if same else "no host is known to be"
    return [*_first("state", away, _STATE - 1), f"state: {asked}: {rest}; {serves}"]


def _first(label: str, texts: Sequence[str], count: int) -> Iterable[str]:
    """The first texts, a line each; the last line says how many more there are."""
    shown = [f"{label}: {text}" for text in texts[:count]]
    if len(texts) > count:
        shown[-1] += f" (and {len(texts) - count} more, shown above)"
    return shown


def _some(texts: Sequence[str]) -> str:
    return texts[0] + (f" (and {len(texts) - 1} more)" if len(texts) > 1 else "")


def _short(line: str) -> str:
    """One line without line breaks, cut in its middle, so that its end stays."""
    text = " ".join(line.split())
    if len(text) <= _WIDTH:
        return text
    half = (_WIDTH - 3) // 2
    return f"{text[:half]} … {text[-half:]}"


def _name(target: str) -> str:
    return target.rpartition("/")[2]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by the name templates call them."""
        return {
            "verdict": askfleet_verdict,
            "unwritten": askfleet_unwritten,
            "staged": askfleet_staged,
            "removed": askfleet_removed,
            "summary": askfleet_summary,
        }

"""Filters about withdrawn documents: what is asked for, the fleet's one list, who lacks it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from app.generation.withdrawn import NOTHING, Withdrawn, parse, read

Json = Mapping[str, Any]
SHOWN = 20


def askfleet_kept(path: str) -> dict[str, str]:
    """Read the controller's copy: its C(list), or its C(damage), which is no reason to stop."""
    try:
        return {"list": read(Path(path)).content.decode(), "damage": ""}
    except (OSError, ValueError) as error:
        return {"list": "", "damage": str(error)}


def askfleet_too_long(kept: str, ids: Sequence[str], run: Json) -> list[str]:
    """Say so where the controller's copy would be too long with these ids in it.

    Args:
        kept: the content of the copy.
        ids: what is to be withdrawn.
        run: who does so, C(by), and C(since) when.

    Returns:
        One line, or none.
    """
    return [*filter(None, [_parse(kept).changed(ids, run["since"], run["by"]).excess])]


def askfleet_withdrawal(
    told: Mapping[str, Json], kept: str, ids: Sequence[str], undo: bool = False
) -> dict[str, Any]:
    """Make one list of those of all hosts.

    Args:
        told: by host, the C(before) and C(list) that it had; without them where it did not answer.
        kept: the content that the controller has.
        ids: what was asked for.
        undo: whether that is brought back.

    Returns:
        `list`: the content; `digest`; `withdrawn`: the ids that nobody answers with; `changed`:
        those asked for whose entry is new; `strangers`: those that were not withdrawn, so that
        nothing is brought back.
    """
    before = _all([kept, *(one.get("before", "") for one in told.values())])
    after = _all([kept, *(one.get("list", "") for one in told.values())])
    return {
        "list": after.content.decode(),
        "digest": after.digest,
        "withdrawn": sorted(after.ids),
        "changed": [one for one in ids if (one in before.ids) != (one in after.ids)],
        "strangers": [one for one in ids if undo and one not in before.ids],
    }


def askfleet_unaware(
    hosts: Iterable[str], told: Mapping[str, Json], digest: str
) -> dict[str, list[str]]:
    """Say who does not answer by the list.

    Args:
        hosts: all of gateways and shards.
        told: by host, what it said last; nothing of those that did not answer.
        digest: of the list.

    Returns:
        `unasked`: hosts that did not answer; `lost`: those, and hosts that have not got it;
        `behind`: a line for each service that was asked and does not answer by it; `silent`:
        services that answer nobody; `sound`: hosts whose services all do, or answer nobody. Of an
        empty list no service is asked, so none is sound.
    """
    names = list(hosts)
    lost = [host for host in names if told.get(host, {}).get("digest") != digest]
    late = {host: told[host]["behind"] for host in names if host not in lost}
    return {
        "unasked": [host for host in names if "digest" not in told.get(host, {})],
        "lost": lost,
        "behind": [f"{h}: {name}: {why}" for h, own in late.items() for name, why in own.items()],
        "silent": [f"{h}: {name}" for h in late for name in told[h]["silent"]],
        "sound": [host for host, own in late.items() if digest and not own],
    }


def askfleet_withdrawn_faults(looked: Mapping[str, Json], hosts: Iterable[str]) -> list[str]:
    """Name hosts and services that do not answer by the fleet's list.

    Args:
        looked: what the look at each host registered; without `look` where it did not answer.
        hosts: those of gateways and shards.

    Returns:
        One line for each.
    """
    looks = {host: looked[host]["look"] for host in hosts if "look" in looked.get(host, {})}
    lists = {host: look.get("withdrawn", {}) for host, look in looks.items()}
    digest = _merged(lists).digest
    faults = []
    for host, look in looks.items():
        told = lists[host]
        if told.get("damage"):
            faults.append(f"{host}: {told['damage']}")
        elif _parse(told.get("list", "")).digest != digest:
            faults.append(
                f"{host}: it has not got the list of withdrawn documents that others have: "
                "`ansible-playbook withdraw.yml` gives it"
            )
        for service, body in look["health"].items():
            if "withdrawn" in body and body["withdrawn"]["digest"] != digest:
                faults.append(
                    f"{host}: {service}: it does not answer by the list of withdrawn documents"
                )
    return faults


def askfleet_withdrawn_lines(looked: Mapping[str, Json]) -> list[str]:
    """Tell what is withdrawn, since when and by whom; empty where nothing is."""
    looks = {host: told["look"] for host, told in looked.items() if "look" in told}
    known = _merged({host: look.get("withdrawn", {}) for host, look in looks.items()})
    if not known.ids:
        return []
    entries = [known.entries[name] for name in sorted(known.ids)]
    lines = [f"Withdrawn, so that nobody answers with them ({len(entries)}):"]
    lines += [f"  {one.id}  since {one.time} by {one.by}" for one in entries[:SHOWN]]
    return lines + [f"  and {len(entries) - SHOWN} more"] * (len(entries) > SHOWN)


def _merged(lists: Mapping[str, Json]) -> Withdrawn:
    return _all(told.get("list", "") for told in lists.values())


def _all(contents: Iterable[str]) -> Withdrawn:
    return reduce(Withdrawn.merged, map(_parse, contents), NOTHING)


def _parse(content: str) -> Withdrawn:
    return parse(content.encode()) if content else NOTHING


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by the name templates call them."""
        return {
            "kept": askfleet_kept,
            "too_long": askfleet_too_long,
            "withdrawal": askfleet_withdrawal,
            "unaware": askfleet_unaware,
            "withdrawn_faults": askfleet_withdrawn_faults,
            "withdrawn_lines": askfleet_withdrawn_lines,
        }

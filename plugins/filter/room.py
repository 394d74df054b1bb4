"""Filter that names the directories of hosts that a change could not write to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

# What a directory must have free beside what an update adds up for it: lock, journal, links, units.
BYTES = 1_000_000
INODES = 100

_FIXES = {
    "EROFS": "mount it read-write (dmesg says why it is not)",
    "ENOSPC": "make room there",
    "EDQUOT": "raise its quota",
}
_OTHER = "repair its owner, mode or attributes (lsattr -d)"


def askfleet_room_faults(looks: Mapping[str, Json]) -> list[str]:
    """Name host, directory and fix wherever the look could not write, or would not much longer.

    Args:
        looks: by host the answer of the module look, with `writes`.

    Returns:
        One message a directory; none where everything could be written.
    """
    faults = []
    for host, look in looks.items():
        for directory, tried in look.get("writes", {}).items():
            fault = _fault(tried)
            faults += [f"{host}: {directory} {fault}"] if fault else []
    return faults


def askfleet_rooms(hostvars: Mapping[str, Json], hosts: Sequence[str]) -> dict[str, Json]:
    """Return by host what trying its directories registered, of those that answered."""
    told = {host: hostvars[host].get("activation_room") or {} for host in hosts}
    return {host: one["look"] for host, one in told.items() if "look" in one}


def _fault(tried: Json) -> str:
    if tried["error"]:
        fix = _FIXES.get(tried["error"], _OTHER)
        return f"cannot be written: {tried['why']}: {fix}"
    if tried["free"] < BYTES:
        return f"has {tried['free']} bytes free, {BYTES} are needed: {_FIXES['ENOSPC']}"
    if tried["inodes"] is not None and tried["inodes"] < INODES:
        return f"has {tried['inodes']} inodes free, {INODES} are needed: remove files there"
    return ""


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by the name templates call them."""
        return {"room_faults": askfleet_room_faults, "rooms": askfleet_rooms}

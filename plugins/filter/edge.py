"""A filter that names what is wrong with the settings of HTTPS, API keys and CORS."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Settings = Mapping[str, Any]

_WAYS = ("none", "files", "host", "self-signed")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
# As a browser sends it: scheme, host and a port that is not the scheme's own, in small letters.
_OWN_PORTS = {"http": ":80", "https": ":443"}
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


def askfleet_edge_errors(
    groups: Mapping[str, Iterable[str]], hostvars: Mapping[str, Settings]
) -> list[str]:
    """Judge `askfleet_tls` and what belongs to it, `askfleet_api_keys`, `askfleet_cors_origins`.

    Returns:
        Messages, each naming the variable and the fix, never a hash; empty where all is well.
    """
    members = (*groups.get("edge", ()), *groups.get("gateways", ()))
    found: dict[str, None] = {}
    for host in members:
        found.update(dict.fromkeys(_tls(hostvars[host])))
        found.update(dict.fromkeys(_keys(hostvars[host])))
        found.update(dict.fromkeys(_cors(hostvars[host])))
    lists = [hostvars[host].get("askfleet_api_keys", []) for host in members]
    if any(one != lists[0] for one in lists):
        found["askfleet_api_keys: differs between hosts; set it once, in group_vars/all"] = None
    return list(found)


def _tls(variables: Settings) -> Iterator[str]:
    way = variables.get("askfleet_tls", "none")
    if way not in _WAYS:
        yield f"askfleet_tls: {way!r} is none of {', '.join(_WAYS)}"
    if way in ("files", "host"):
        where = "on this controller" if way == "files" else "on the edge hosts"
        for name in ("askfleet_tls_certificate", "askfleet_tls_key"):
            if not variables.get(name):
                yield f"{name}: missing; with askfleet_tls: {way} it is the path of a file {where}"


def _keys(variables: Settings) -> Iterator[str]:
    keys = variables.get("askfleet_api_keys", [])
    names = []
    for place, key in enumerate(keys if isinstance(keys, list) else []):
        name = key.get("name") if isinstance(key, Mapping) else None
        if not (isinstance(name, str) and name.strip() == name and name.isprintable() and name):
            yield f"askfleet_api_keys[{place}]: name: missing, or not a line of text"
            continue
        names.append(name)
        if not _SHA256.fullmatch(str(key.get("sha256", ""))):
            yield (
                f"askfleet_api_keys[{place}] ({name}): sha256: not 64 hexadecimal digits; "
                "make it by: printf %s KEY | sha256sum"
            )
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"askfleet_api_keys: {name}: named twice"


def _cors(variables: Settings) -> Iterator[str]:
    origins = variables.get("askfleet_cors_origins", [])
    for place, origin in enumerate(origins if isinstance(origins, list) else []):
        where = f"askfleet_cors_origins[{place}]"
        if origin == "*":
            if len(origins) > 1:
                yield f'{where}: "*" lets every origin; leave out the others, or it'
        elif str(origin).endswith(own := _OWN_PORTS.get(str(origin).partition(":")[0], "/")):
            yield f"{where}: {origin!r}: write it without {own}, as browsers send it"
        elif not _ORIGIN.fullmatch(str(origin)):
            yield (
                f"{where}: {origin!r} is not an origin; write scheme, host and port as browsers "
                "send them, e.g. https://www.example.org, without a path or a slash"
            )


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by the name templates call them."""
        return {"edge_errors": askfleet_edge_errors}

"""A filter that names everything wrong with an inventory, host and variable and fix."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

GROUPS = ("edge", "gateways", "encoders", "shards")
MONITORING = "monitoring"  # may be empty, or missing
FLEET_WIDE = ("askfleet_shard_count", "askfleet_internal_tls", "askfleet_min_confidence")
NEAR_SHARDS = (
    "shard",
    "shard_id",
    "shard_ids",
    "shards_id",
    "shards_ids",
    "askfleet_shard",
    "askfleet_shards",
)

SWITCHES = ("true", "false", "yes", "no", "on", "off", "1", "0")

Finding = tuple[str, str]  # host, what is wrong there


# The greatest value, where a service refuses more (app/config.py).
MOST = {"askfleet_processes": 64, "askfleet_record_questions": 10_000}


def askfleet_inventory_errors(
    groups: Mapping[str, Iterable[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
    specs: Mapping[str, Mapping[str, Any]],
    internal: Iterable[str] = (),
) -> list[str]:
    """Check an inventory against the contract.

    Args:
        groups: Ansible's `groups`.
        hostvars: Variables of each host.
        specs: Options of the contract by name, each with `type` and `default`.
        internal: `askfleet_*` names that the roles set themselves.

    Returns:
        Messages, each naming host and variable and what to do; empty when all is well.
        Hosts with the same fault share one message.
    """
    everybody = sorted({host for hosts in groups.values() for host in hosts} & set(hostvars))
    known = {*specs, *internal}
    findings: list[Finding] = []
    for host in everybody:
        findings += [(host, text) for text in _unknown(hostvars[host], known)]
        findings += [(host, text) for text in _types(hostvars[host], specs)]
    errors = [*_empty_groups(groups), *_monitoring(groups), *_together(findings)]
    if any(name in text for name in FLEET_WIDE for _, text in findings):
        return errors  # what follows needs a shard count that can be read
    errors += _fleet_wide(everybody, hostvars)
    errors += _shards(groups, hostvars, specs, everybody)
    errors += _addresses(groups, hostvars)
    errors += _edge_address(groups, hostvars)
    return errors


def _together(findings: Iterable[Finding]) -> list[str]:
    by_text: dict[str, list[str]] = {}
    for host, text in findings:
        by_text.setdefault(text, []).append(host)
    return [f"{', '.join(hosts)}: {text}" for text, hosts in by_text.items()]


def _empty_groups(groups: Mapping[str, Iterable[str]]) -> Iterator[str]:
    for group in GROUPS:
        if not list(groups.get(group, ())):
            needed = ", ".join(GROUPS)
            yield f"group {group}: no host; the fleet needs one in each of {needed}"


def _monitoring(groups: Mapping[str, Iterable[str]]) -> Iterator[str]:
    hosts = list(groups.get(MONITORING, ()))
    if len(hosts) > 1:
        yield (
            f"group {MONITORING}: {', '.join(hosts)}: at most one host watches the fleet; "
            "leave one of them there"
        )


def _unknown(variables: Mapping[str, Any], known: Iterable[str]) -> Iterator[str]:
    contract = sorted(known)
    for name in sorted(variables):
        if name in contract or name == "shards":
            continue
        if name.lower() in NEAR_SHARDS or name.lower() == "shards":
            yield f"{name}: unknown variable; the ids of a host's shards go into `shards`, a list"
            continue
        near = difflib.get_close_matches(name, contract, n=1, cutoff=0.9)
        if name.startswith("askfleet_"):
            near = near or _nearest_own_part(name, contract)
            hint = f"did you mean {near[0]}?" if near else "see roles/askfleet/defaults/main.yml"
            yield f"{name}: unknown variable; {hint}"
        elif near:
            yield f"{name}: unknown variable; did you mean {near[0]}?"


def _nearest_own_part(name: str, contract: Iterable[str]) -> list[str]:
    """Compare what follows the prefix, which would make all names look alike."""
    parts = {known.removeprefix("askfleet_"): known for known in contract}
    near = difflib.get_close_matches(name.removeprefix("askfleet_"), parts, n=1, cutoff=0.6)
    return [parts[part] for part in near]


def _is_share(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and 0 <= float(value) <= 1
    except (TypeError, ValueError):
        return False


def _types(variables: Mapping[str, Any], specs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, spec in specs.items():
        if name not in variables:
            continue
        value = variables[name]
        if spec["type"] == "int":
            number = _integer(value)
            if number is None:
                example = f"{name}: {spec['default']}"
                yield f"{name}: {value!r} is not a whole number; write e.g. {example}"
                continue
            least = min(1, int(spec["default"]))  # where 0 is the default, it is a choice
            most = 65535 if name.endswith("_port") else MOST.get(name)
            if number < least or (most is not None and number > most):
                told = f"{least}..{most or '…'}; the default is {spec['default']}"
                yield f"{name}: {number} is outside {told}"
        elif spec["type"] == "float":  # each is a share; some may be null
            if not (_is_share(value) or (value is None and spec.get("default") is None)):
                yield f"{name}: {value!r} is not a number from 0 to 1; write e.g. {name}: 0.6"
        elif spec["type"] == "bool":
            if str(value).lower() not in SWITCHES:
                yield f"{name}: {value!r} is neither true nor false"
        elif spec["type"] == "list":
            if not isinstance(value, list):
                yield f"{name}: it is not a list"
        elif not (isinstance(value, str) and (value.strip() or spec["default"] == "")):
            yield f"{name}: {value!r} is not a text; write e.g. {name}: {spec['default']}"
        elif spec["type"] == "path" and not value.startswith("/"):
            yield f"{name}: {value!r} is not an absolute path; begin it with /"


def _edge_address(
    groups: Mapping[str, Iterable[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Keepalived knows no names, and all edges must speak of one address, of their own family."""
    edges = [host for host in groups.get("edge", ()) if host in hostvars]
    told = {str(hostvars[host].get("askfleet_edge_address", "")) for host in edges}
    if told <= {""}:
        return
    if len(told) > 1:
        yield f"askfleet_edge_address: {', '.join(sorted(told))}: one for all edges, in group_vars"
    own = {
        f"{host}: askfleet_address": hostvars[host].get(
            "askfleet_address", hostvars[host].get("ansible_host", host)
        )
        for host in edges
    }
    families = set()
    for where, value in {**dict.fromkeys(["askfleet_edge_address"], max(told)), **own}.items():
        try:
            families.add(ipaddress.ip_address(str(value)).version)
        except ValueError:
            yield f"{where}: {value!r} is not an IP address, and askfleet_edge_address needs one"
    if len(families) > 1:
        yield f"askfleet_edge_address: {max(told)} is of another IP version than the edges' own"


def _integer(value: Any) -> int | None:
    """Read an int, or its digits (extra variables arrive as text); a bool is neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return int(value)
    return int(value) if isinstance(value, str) and value.strip().lstrip("-").isdecimal() else None


def _fleet_wide(
    everybody: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    for name in FLEET_WIDE:
        values: dict[str, list[str]] = {}
        for host in everybody:
            if name in hostvars[host]:
                values.setdefault(str(hostvars[host][name]), []).append(host)
        if len(values) > 1:
            told = "; ".join(f"{value} on {', '.join(hosts)}" for value, hosts in values.items())
            yield f"{name}: differs between hosts ({told}); set it once, in group_vars/all"


def _shards(
    groups: Mapping[str, Iterable[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
    specs: Mapping[str, Mapping[str, Any]],
    everybody: Iterable[str],
) -> Iterator[str]:
    members = list(groups.get("shards", ()))
    told = [
        hostvars[h]["askfleet_shard_count"]
        for h in members
        if "askfleet_shard_count" in hostvars[h]
    ]
    count = int(told[0] if told else specs["askfleet_shard_count"]["default"])
    served: set[int] = set()
    for host in everybody:
        variables = hostvars[host]
        if host not in members:
            if "shards" in variables:
                yield (
                    f"{host}: shards: set on a host outside the group shards; "
                    "move the host there or remove it"
                )
            continue
        if "shards" not in variables:
            yield f"{host}: shards: missing; name the shards this host serves, e.g. shards: [0, 1]"
            continue
        ids = variables["shards"]
        wrong = not isinstance(ids, list) or any(
            not isinstance(i, int) or isinstance(i, bool) for i in ids
        )
        if wrong or not ids:
            yield f"{host}: shards: {ids!r} is not a list of whole numbers, e.g. [0, 1]"
            continue
        for i in sorted({i for i in ids if ids.count(i) > 1}):
            yield f"{host}: shards: {i} is named twice"
        for i in sorted({i for i in ids if not 0 <= i < count}):
            yield (
                f"{host}: shards: {i} is outside 0..{count - 1}; "
                f"correct it, or raise askfleet_shard_count (now {count})"
            )
        served.update(ids)
    somebody = " or ".join(members[:2]) or "a host"
    for i in sorted(set(range(count)) - served):
        yield (
            f"group shards: shards: no host serves shard {i}; add {i} to `shards` of {somebody}, "
            f"or lower askfleet_shard_count (now {count}): ids run from 0 without a gap"
        )


def _addresses(
    groups: Mapping[str, Iterable[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    named = (*GROUPS, MONITORING)
    hosts = dict.fromkeys(host for group in named for host in groups.get(group, ()))
    by_address: dict[str, list[str]] = {}
    for host in hosts:
        variables = hostvars[host]
        address = variables.get("askfleet_address", variables.get("ansible_host", host))
        by_address.setdefault(_shortest(str(address)), []).append(host)
    yield from _families(by_address)
    for address, sharing in by_address.items():
        if len(sharing) > 1:
            yield (
                f"{', '.join(sharing)}: askfleet_address: all have {address}; "
                "name one machine once (it may be in several groups)"
            )


def _shortest(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address  # a name


def _families(by_address: Mapping[str, list[str]]) -> Iterator[str]:
    """Hosts know each other by these addresses, so each must come from the one it is known by."""
    found: dict[int, list[str]] = {4: [], 6: []}
    for address, hosts in by_address.items():
        try:
            known = ipaddress.ip_address(address)
        except ValueError:
            continue
        found[known.version] += hosts
        if known.is_link_local:
            yield (
                f"{', '.join(hosts)}: askfleet_address: {address} is a link-local address, which "
                "means nothing without an interface; use another one"
            )
    if found[4] and found[6]:
        yield (
            f"askfleet_address: IPv4 on {', '.join(found[4])}, IPv6 on {', '.join(found[6])}; "
            "give all hosts addresses of one of the two"
        )


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by the name templates call them."""
        return {"inventory_errors": askfleet_inventory_errors}

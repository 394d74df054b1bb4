"""How much memory a service's process may have: what it has loaded needs, and its own."""

from __future__ import annotations

import json
from pathlib import Path

from ansible.module_utils.askfleet_host import run

MB = 1024 * 1024
# Of the process itself: Python, libraries, threads at work, what it remembers. Measured with the
# default model: 65 to 80 MB of a shard, 100 to 130 of a gateway, 150 to 200 of an encoder.
OWN = {"shard": 512 * MB, "gateway": 512 * MB, "encoder": 1024 * MB}


def memory_max(service: dict, parts: list[str]) -> int | None:
    """Return a limit in bytes for a service that loads these parts, None where none can be told.

    Mapped files count, so both generations must fit; the kernel takes back what is not used.
    """
    total = OWN[service["kind"]]
    for part in filter(None, parts):
        try:
            total += _needs(service, Path(part))
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            return None
    return total


def limit_memory(services: list[dict], to: dict[str, str]) -> None:
    """Set MemoryMax of a host's services, for good, in place of the share that their units have."""
    for service in services:
        limit = memory_max(service, list(to.values()))
        if limit is not None:
            unit = f"{service['unit']}.service"
            run(["systemctl", "set-property", unit, f"MemoryMax={limit}"])


def _needs(service: dict, part: Path) -> int:
    """What the manifest says of a shard; of routing and models, all that lies there."""
    if service["kind"] == "shard":
        told = json.loads((part / "manifest.json").read_text(encoding="utf-8"))
        return int(told["shards"][service["shard"]]["memory_bytes"])
    place = part / "routing" if service["kind"] == "gateway" else part
    files = [file for file in place.resolve(strict=True).rglob("*") if file.is_file()]
    if not files:
        raise ValueError(f"{place} is empty")
    return sum(file.stat().st_size for file in files)

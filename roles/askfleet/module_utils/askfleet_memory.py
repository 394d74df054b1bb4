"""How much memory a shard's process may have: what its generations need, and its own."""

from __future__ import annotations

import json
from pathlib import Path

from ansible.module_utils.askfleet_host import run

# Of the process itself: Python, FAISS, eight threads at work. Measured: 65 to 80 MB.
OWN = 512 * 1024 * 1024


def memory_max(shard: int, parts: list[str]) -> int | None:
    """Return a limit in bytes for a shard that maps these generations, None where none can be told.

    Mapped files count, so both generations must fit; the kernel takes back what is not used.
    """
    total = OWN
    for part in filter(None, parts):
        try:
            told = json.loads(Path(part, "manifest.json").read_text(encoding="utf-8"))
            total += int(told["shards"][shard]["memory_bytes"])
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            return None
    return total


def limit_memory(services: list[dict], to: dict[str, str]) -> None:
    """Set MemoryMax of a host's shards, for good, in place of the share that their unit has."""
    for service in services:
        if service["kind"] != "shard":
            continue
        limit = memory_max(service["shard"], list(to.values()))
        if limit is not None:
            unit = f"{service['unit']}.service"
            run(["systemctl", "set-property", unit, f"MemoryMax={limit}"])

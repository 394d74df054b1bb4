"""How much memory a service's process may have: what it has loaded needs, and its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible_collections.askfleet.fleet.plugins.module_utils.host import systemctl

MB = 1024 * 1024
# Of the process itself: Python, libraries, threads at work, what it remembers. Measured: 72 MB of a
# shard, 55 of a gateway, 175 of an encoder; but a gateway's threads may each have 60 MB of answers
# in hand, when somebody asks 64 questions for 100 long results each. Each process of several needs
# all of it, and what is loaded, for itself.
OWN = {"shard": 512 * MB, "gateway": 2048 * MB, "encoder": 1024 * MB}
# A model while ONNX Runtime loads it, in sizes of its file (measured: 2.2).
LOADING = 3


def memory_max(service: dict[str, Any], parts: list[str]) -> int | None:
    """Return a limit in bytes for a service that loads these parts, None where none can be told.

    Mapped files count, so both generations must fit; the kernel takes back what is not used.

    Args:
        service: as the topology describes it.
        parts: what it will serve, then what it served before; that may be gone, and is not loaded
            then.
    """
    needs = []
    for part in filter(None, parts):
        try:
            needs.append(_needs(service, Path(part)))
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            if not needs:
                return None
    return _processes(service) * (OWN[service["kind"]] + sum(needs))


def _processes(service: dict[str, Any]) -> int:
    """How many there are of it: as app/config.py counts where the inventory says 0."""
    return int(service.get("processes", 1)) or max(1, len(os.sched_getaffinity(0)) // 2)


def limit_memory(services: list[dict[str, Any]], to: dict[str, str]) -> None:
    """Set MemoryMax of a host's services, for good, in place of the share that their units have."""
    for service in services:
        limit = memory_max(service, [to["current"], to["previous"]])
        if limit is not None:
            unit = f"{service['unit']}.service"
            systemctl("set-property", [unit, f"MemoryMax={limit}"])


def _needs(service: dict[str, Any], part: Path) -> int:
    """What the manifest says of a shard; of routing and models, the files that lie there."""
    if service["kind"] == "shard":
        told = json.loads((part / "manifest.json").read_text(encoding="utf-8"))
        return int(told["shards"][service["shard"]]["memory_bytes"])
    place = part / "routing" if service["kind"] == "gateway" else part
    files = [file for file in place.resolve(strict=True).rglob("*") if file.is_file()]
    if not files:
        raise ValueError(f"{place} is empty")
    size = sum(file.stat().st_size for file in files)
    return size * LOADING if service["kind"] == "encoder" else size

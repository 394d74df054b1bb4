"""Which replicas nginx of this host asks, and what each of them says of itself."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible_collections.askfleet.fleet.plugins.module_utils.host import health, loaded

# An upstream as templates/nginx/upstream.conf.j2 writes it, and a replica in it.
_UPSTREAM = re.compile(r"^\s*upstream (\w+) \{([^}]*)\}", re.MULTILINE)
_REPLICA = re.compile(r"^\s*server (\S+) ", re.MULTILINE)
# How long to wait for one replica, in seconds. All of them are asked at the same time.
TIMEOUT = 2.0
THREADS = 32


def replicas(config: Path) -> dict[str, list[str]]:
    """Return by service (encoder, shard-0, gateway) the address:port of the replicas in use.

    Empty where nginx is not configured yet.
    """
    try:
        text = config.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {
        _service(name): sorted(set(_REPLICA.findall(block)))
        for name, block in _UPSTREAM.findall(text)
    }


def ask_replicas(config: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return by service and address its `status` and the ids it has `loaded`, current first."""
    found = replicas(config)
    addresses = sorted({one for several in found.values() for one in several})
    with ThreadPoolExecutor(THREADS) as pool:
        told = dict(zip(addresses, pool.map(_ask, addresses), strict=True))
    return {service: {one: told[one] for one in several} for service, several in found.items()}


def _service(upstream: str) -> str:
    """The service that an upstream stands for: pool_shard_0 is shard-0, gateways is gateway."""
    return "gateway" if upstream == "gateways" else upstream.removeprefix("pool_").replace("_", "-")


def _ask(address: str) -> dict[str, Any]:
    body = health(f"http://{address}", TIMEOUT)
    ids = loaded(body)
    served = [ids.get("current"), ids.get("previous")]
    return {"status": body["status"], "loaded": [one for one in served if one]}

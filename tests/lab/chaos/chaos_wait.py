"""Waiting until the fleet is what it should be."""

import time
from collections.abc import Callable, Collection

import requests
from lab_hosts import HOSTS, health
from lab_plays import URL

PATIENCE = 90.0


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> float:
    """Wait for a condition; returns how long, in seconds."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "it did not come back by itself"
        time.sleep(0.1)
    return time.monotonic() - start


def until_well(*without: str) -> float:
    """Wait until every service of every host says that it is well; returns seconds."""
    return until(lambda: _all_well(without))


def host_is_well(host: str) -> bool:
    """Whether every service of one host says that it is well."""
    return _all_well(set(HOSTS) - {host})


def whole() -> bool:
    """Whether a question that asks every shard is answered by every shard."""
    try:
        answer = requests.get(f"{URL}/v1/search?q=shards&probe=all&cache=0", timeout=10)
        return answer.status_code == 200 and not answer.json()["partial"]
    except (requests.RequestException, ValueError):
        return False


def _all_well(without: Collection[str]) -> bool:
    try:
        return all(body["status"] == "ok" for body in health(without).values())
    except (AssertionError, ValueError):
        return False

"""Restart services of a host so that nobody waits: drain, restart, wait, let traffic back."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible_collections.askfleet.fleet.plugins.module_utils.host import (
    health_of,
    log_of,
    ready,
    systemctl,
    unit_states,
)

# Time for the pools to meet the drain flag, in seconds: each asks a replica many times in it.
DRAIN = 0.3
POLL = 0.1
# How long to look for another replica that answers, in seconds: a busy host may be slow to.
LOOK = 4.0
# How a service begins the line that says why it cannot start (app/service/worker.py).
SAYS = "the service cannot start:"


class StepError(Exception):
    """A step failed; the text says which and why."""


def check_startable(services: list[dict[str, Any]]) -> None:
    """Refuse before anything is stopped where systemd would not start it again."""
    for unit, state in unit_states(f"{service['unit']}.service" for service in services).items():
        load = state.get("LoadState", "unknown")
        if load != "loaded":
            raise StepError(f"{unit} cannot be started: systemd says it is {load}")


def check_stood_in(services: list[dict[str, Any]]) -> None:
    """Refuse before anything is stopped where no other replica would answer meanwhile."""
    ends = time.monotonic() + LOOK
    while alone := [one["name"] for one in services if not _stood_in(one)]:
        if time.monotonic() > ends:
            raise StepError(f"no other replica of {' and '.join(alone)} answers any more")


def _stood_in(service: dict[str, Any]) -> bool:
    return any(map(ready, service["stand_ins"]))


def restart(
    services: list[dict[str, Any]],
    well: Callable[[dict[str, Any], dict[str, Any]], bool],
    *,
    drain: bool,
    seconds: float,
    change: Callable[[], None] = lambda: None,
) -> None:
    """Drain, change something, restart, wait; the drain flags are gone in the end, come what may.

    Without services, only the change is made.

    Args:
        services: as the topology describes them.
        well: whether a service's /health (second argument) is what it should be.
        drain: whether other replicas are to answer meanwhile, where they are ready when it
            begins; else requests queue in the socket.
        seconds: patience until every service is well.
        change: run while nothing asks.

    Raises:
        StepError: a step failed; the drain flags are gone nevertheless.
    """
    # Who was well when the play looked may have died since.
    drain = drain and all(map(_stood_in, services))
    flags = [Path(service["drain_file"]) for service in services] if drain else []
    try:
        # Without its flag a service restarts undrained: requests wait, and no undo is stopped.
        with suppress(OSError):
            for flag in flags:
                flag.touch()
        if flags:
            time.sleep(DRAIN)
        change()
        units = [f"{service['unit']}.service" for service in services]
        begun = time.time()
        status, _, errors = systemctl("restart", units, timeout=seconds + 60)
        if status:
            raise StepError(f"restart {' and '.join(units)}: {_reason(units, errors, begun)}")
        wait(services, well, seconds)
    finally:
        for flag in flags:
            flag.unlink(missing_ok=True)


def stop(services: list[dict[str, Any]]) -> None:
    """Stop services where nothing is left to serve; the sockets with them."""
    units = [f"{s['unit']}.{end}" for s in services for end in ("socket", "service")]
    systemctl("stop", units)


def wait(
    services: list[dict[str, Any]],
    well: Callable[[dict[str, Any], dict[str, Any]], bool],
    seconds: float,
) -> None:
    """Poll /health until every service is well; raises StepError saying what the last one said."""
    ends = time.monotonic() + seconds
    for service in services:
        while not well(service, body := health_of(service, min(5.0, seconds))):
            if time.monotonic() > ends:
                raise StepError(f"wait for {service['unit']}: {told(body)} after {seconds:.0f} s")
            time.sleep(POLL)


def told(body: dict[str, Any]) -> str:
    """Return what a service says of itself, in a few words."""
    ids = body.get("models") or body.get("generations") or {}
    serving = f", serving {ids['current']}" if ids.get("current") else ""
    return f"it is {body['status']}{serving}"


def _reason(units: list[str], errors: str, begun: float) -> str:
    """What the service itself said last about why it cannot start, else what systemd says."""
    told = [line for line in log_of(units, 30, begun) if SAYS in line]
    if told:
        return str(told[-1]).partition(SAYS)[2].strip()
    return errors.strip().splitlines()[0] if errors.strip() else "no reason given"

"""systemd's notification protocol, and a watchdog that proves the service answers.

gunicorn's arbiter says READY as soon as it listens, before a worker has loaded anything, and never
pings the watchdog. So its own notification is switched off (gunicorn_config) and ours is sent here.
Protocol: sd_notify(3).
"""

from __future__ import annotations

import logging
import socket
import threading

from app.service.siblings import Board, get

log = logging.getLogger(__name__)


def notify(address: str | None, state: str) -> None:
    """Send ``state`` (e.g. ``READY=1``) to systemd; without an address nothing happens."""
    if not address:
        return
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect(target)
        sock.sendall(state.encode())


def alive(own: str, timeout: float) -> bool:
    """Whether GET /livez through its own socket answers within ``timeout`` s.

    Args:
        own: ``host:port``, or the path of a unix socket, by which no other process is asked.
        timeout: in seconds.
    """
    import http.client  # only here: this module comes before "starting" can be said

    if own.startswith("/"):
        return get(own, "/livez", timeout, {}) is not None
    host, _, port = own.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException) as error:
        log.warning("the service does not answer its own liveness question: %s", error)
        return False
    finally:
        connection.close()


def start_watchdog(
    address: str | None, interval: float, own: str, board: Board, slot: int
) -> threading.Event:
    """Ping systemd every ``interval`` seconds, as long as every process answers /livez.

    Each process asks itself by ``own`` and says so on the board; one that is silent ends the pings
    of all. A silent service is restarted by systemd after WatchdogSec.

    Returns: an event that ends the pings when it is set.
    """
    stop = threading.Event()
    if not address or interval <= 0:
        return stop

    def loop() -> None:
        while not stop.wait(interval):
            if not alive(own, interval):
                continue
            board.mark_alive(slot)
            if silent := board.silent(2.5 * interval):
                log.warning("processes that do not answer: %s", silent)
                continue
            try:
                notify(address, "WATCHDOG=1")
            except OSError as error:  # one ping lost must not end all of them
                log.warning("systemd cannot be told that the service lives: %s", error)

    threading.Thread(target=loop, name="watchdog", daemon=True).start()
    return stop

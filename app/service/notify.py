"""systemd's notification protocol, and a watchdog that proves the service answers.

gunicorn's arbiter says READY as soon as it listens, before a worker has loaded anything, and never
pings the watchdog. So its own notification is switched off (gunicorn_config) and ours is sent here.
Protocol: sd_notify(3).
"""

from __future__ import annotations

import logging
import socket
import threading

log = logging.getLogger(__name__)


def notify(address: str | None, state: str) -> None:
    """Send ``state`` (e.g. ``READY=1``) to systemd; without an address nothing happens."""
    if not address:
        return
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect(target)
        sock.sendall(state.encode())


def alive(host: str, port: int, timeout: float) -> bool:
    """Whether GET /livez through the service's own socket answers 200 within ``timeout`` s."""
    import http.client  # only here: this module comes before "starting" can be said

    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException) as error:
        log.warning("the service does not answer its own liveness question: %s", error)
        return False
    finally:
        connection.close()


def start_watchdog(address: str | None, interval: float, host: str, port: int) -> threading.Event:
    """Ping systemd every ``interval`` seconds, as long as the service answers /livez.

    A silent service is restarted by systemd after WatchdogSec.

    Returns: an event that ends the pings when it is set.
    """
    stop = threading.Event()
    if not address or interval <= 0:
        return stop

    def loop() -> None:
        while not stop.wait(interval):
            if not alive(host, port, interval):
                continue
            try:
                notify(address, "WATCHDOG=1")
            except OSError as error:  # one ping lost must not end all of them
                log.warning("systemd cannot be told that the service lives: %s", error)

    threading.Thread(target=loop, name="watchdog", daemon=True).start()
    return stop

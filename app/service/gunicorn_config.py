"""gunicorn's settings (``gunicorn --config python:app.service.gunicorn_config``).

gunicorn reads module-level names, so this is the one module that reads the environment when it is
imported; it is imported by the arbiter only, once, before any worker.
"""

from __future__ import annotations

import os
from typing import Any

from app.config import ServerConfig
from app.service.notify import notify, start_watchdog

_config = ServerConfig.read(os.environ)

# The arbiter says READY before a worker has loaded anything: take its address away (see notify.py).
_notify_address = os.environ.pop("NOTIFY_SOCKET", None)
_watchdog_seconds = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6

if _config.bind:
    bind = _config.bind
proc_name = "askfleet"
workers = 1  # one index, one model, one process; more of them are more units
worker_class = "app.service.worker.Worker"
http_parser = "python"  # the one that takes plain UTF-8 in a URL, see protocol.py
logger_class = "app.service.logs.JsonLogger"
limit_request_line = 8190  # as long as the edge lets them be
keepalive = 75
graceful_timeout = _config.graceful_seconds
timeout = 30
backlog = 1024
control_socket_disable = True
worker_tmp_dir = "/dev/shm"  # noqa: S108  # heartbeat file: on a disk it can block the worker


def post_fork(_: Any, worker: Any) -> None:
    """Before the application is loaded: the worker looks whether it is drained."""
    worker.drain_file = _config.drain_file


def post_worker_init(worker: Any) -> None:
    """The application is loaded and has answered its self-query: tell systemd."""
    host, port = worker.sockets[0].getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104  # recognised, not bound
        host = "127.0.0.1"
    start_watchdog(_notify_address, _watchdog_seconds / 4, host, port)
    notify(_notify_address, "READY=1\nSTATUS=serving")

"""gunicorn's settings (``gunicorn --config python:app.service.gunicorn_config``).

gunicorn reads module-level names, so this is the one module that reads the environment when it is
imported; it is imported by the arbiter only, once, before any worker.
"""

from __future__ import annotations

import os
from typing import Any

from app.config import ServerConfig
from app.service.notify import notify, start_watchdog
from app.service.siblings import Board, Siblings

_config = ServerConfig.read(os.environ)
_board = Board(_config.processes)

# The arbiter says READY before a worker has loaded anything: take its address away (see notify.py).
_notify_address = os.environ.pop("NOTIFY_SOCKET", None)
_watchdog_seconds = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6

if _config.bind:
    bind = _config.bind
proc_name = "askfleet"
workers = _config.processes
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


def pre_fork(_: Any, worker: Any) -> None:
    """In the arbiter, before there is a process."""
    worker.slot = _board.take()


def child_exit(_: Any, worker: Any) -> None:
    """In the arbiter, when a process has ended."""
    _board.free(worker.slot)


def on_exit(_: Any) -> None:
    """In the arbiter, at the end."""
    _board.close()


def post_fork(_: Any, worker: Any) -> None:
    """Before the application is loaded: the worker looks whether it is drained."""
    worker.drain_file = _config.drain_file
    worker.tls = _config.tls
    if _config.processes > 1:
        worker.siblings = Siblings(_board, worker.slot)


def post_worker_init(worker: Any) -> None:
    """The application is loaded and has answered its self-query."""
    host, port = worker.sockets[0].getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104  # recognised, not bound
        host = "127.0.0.1"
    own = f"{host}:{port}" if worker.siblings is None else _board.socket_of(worker.slot)

    def serving() -> None:
        """Tell systemd, when every process serves."""
        start_watchdog(_notify_address, _watchdog_seconds / 4, own, _board, worker.slot)
        if _board.mark_ready(worker.slot):
            notify(_notify_address, "READY=1\nSTATUS=serving")

    worker.on_serving = serving

"""The gunicorn worker: an event loop, a start and a stop that nobody needs to wait for.

What is imported here, and in gunicorn_config, comes before a drained service can say that it is
starting: only what is light.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.workers.gasgi import ASGIWorker

from app.errors import AskfleetError
from app.service.protocol import Protocol
from app.service.refusal import refusal_status
from app.service.starting import StartingResponder

# Time between readiness turning 503 and the socket no longer being accepted from, in seconds:
# enough for a pool to look once, short against the restart.
ANNOUNCE = 0.25
# A stopping worker keeps idle kept-alive connections this long, in seconds; nginx retries what a
# close crosses, so a restart need not wait for them.
LINGER = 0.2
# How often the arbiter is told that the worker lives, in seconds, and a stopping one looks around.
HEARTBEAT = 1.0
LOOK = 0.05


class Worker(ASGIWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's ASGI worker, which says "draining" on /readyz for a moment before it stops.

    ``drain_file`` is set by gunicorn_config.
    """

    drain_file: Path | None = None

    def __init__(self, *about: Any, **more: Any) -> None:
        super().__init__(*about, **more)
        self.connections: set[Protocol] = set()
        self._stopped: asyncio.Event | None = None

    def load_wsgi(self) -> None:
        """Load the service; what a person can mend is one line in the log, not a stack trace."""
        responder = None
        if self.drain_file is not None and self.drain_file.exists():
            service = self.app.app_uri.split(".")[1]  # app.<service>.wsgi:application
            status = refusal_status(service)
            responder = StartingResponder(self.sockets, self.drain_file, status)
        try:
            super().load_wsgi()
        except AskfleetError as error:
            self.log.critical("the service cannot start: %s", error)
            sys.exit(Arbiter.APP_LOAD_ERROR)
        finally:
            if responder is not None:
                responder.stop()

    def init_signals(self) -> None:
        """Signals until the event loop runs: a SIGTERM while it loads ends it when it has."""
        for one in self.SIGNALS:
            signal.signal(one, signal.SIG_DFL)
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(one, self._stop_early)
        signal.signal(signal.SIGABRT, self.handle_abort)
        signal.signal(signal.SIGUSR1, self.handle_usr1)
        signal.signal(signal.SIGWINCH, self.handle_winch)

    def _stop_early(self, _: int, __: FrameType | None) -> None:
        self.alive = False

    def handle_exit_signal(self) -> None:
        """SIGTERM: announce, then finish what is in flight and exit 0.

        A drained service has been announced long ago: its readiness is 503 already.
        """
        lifecycle = self.asgi.lifecycle
        lifecycle.mark_stopping()
        if lifecycle.drained or not self.alive:
            self._stop()
        else:
            self.loop.call_later(ANNOUNCE, self._stop)

    def handle_quit_signal(self) -> None:
        """SIGINT and SIGQUIT: stop at once."""
        self._quick_shutdown = True
        self._stop()

    def _stop(self) -> None:
        self.alive = False
        if self._stopped is not None:
            self._stopped.set()

    async def _serve(self) -> None:
        """Answer until told to stop."""
        self._stopped = asyncio.Event()
        self.loop.add_signal_handler(signal.SIGTERM, self.handle_exit_signal)
        self.loop.add_signal_handler(signal.SIGINT, self.handle_quit_signal)
        self.loop.add_signal_handler(signal.SIGQUIT, self.handle_quit_signal)
        self.servers = [
            await self.loop.create_server(
                lambda: Protocol(self), sock=listener.sock, backlog=self.cfg.backlog
            )
            for listener in self.sockets
        ]
        while self.alive and self.ppid == os.getppid():
            self.notify()
            try:
                await asyncio.wait_for(self._stopped.wait(), HEARTBEAT)
            except TimeoutError:
                continue
        self.alive = False
        await self._shutdown()

    async def _shutdown(self) -> None:
        """Accept no more; let requests in flight finish, and idle connections linger a little."""
        for server in self.servers:
            server.close()
        now = self.loop.time()
        lingers, ends = now + LINGER, now + self.cfg.graceful_timeout
        while self.connections and not self._quick_shutdown and self.loop.time() < ends:
            self.notify()
            if self.loop.time() > lingers:
                for connection in tuple(self.connections):
                    connection.close_idle()
            await asyncio.sleep(LOOK)

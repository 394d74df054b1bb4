"""The gunicorn worker: an event loop, a start and a stop that nobody needs to wait for.

gunicorn's own ``asgi`` worker looks once a second whether it shall stop, and waits for idle
connections; here its connections are served by a loop of ours. What is imported here, and in
gunicorn_config, is in the arbiter's memory too, and comes before a drained service can say that it
is starting: only what is light. So the loop comes later.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker as Base

from app.errors import AskfleetError
from app.service.refusal import refusal_status
from app.service.siblings import Siblings
from app.service.starting import StartingResponder

if TYPE_CHECKING:
    import asyncio

    from app.config import TlsConfig
    from app.service.acceptor import Acceptor
    from app.service.protocol import Protocol

    Server = asyncio.Server | Acceptor

# Time between readiness turning 503 and the socket no longer being accepted from, in seconds:
# enough for a pool to look once, short against the restart.
ANNOUNCE = 0.25
# A stopping worker keeps idle kept-alive connections this long, in seconds; nginx retries what a
# close crosses, so a restart need not wait for them.
LINGER = 0.2
# How often the arbiter is told that the worker lives, in seconds, and a stopping one looks around.
HEARTBEAT = 1.0
LOOK = 0.05


class Worker(Base):  # type: ignore[misc]  # gunicorn has no types
    """A worker that says "draining" on /readyz for a moment before it stops.

    ``drain_file``, ``tls``, ``slot``, ``siblings`` and ``on_serving`` are set by gunicorn_config.
    What ``asgi`` and ``nr_conns`` are, gunicorn's connections say, which read and count them.
    """

    drain_file: Path | None = None
    tls: TlsConfig | None = None

    def __init__(self, *about: Any, **more: Any) -> None:
        super().__init__(*about, **more)
        self.asgi: Any = None
        self.nr_conns = 0
        self.slot = 0
        self.siblings: Siblings | None = None
        self.on_serving: Callable[[], None] = lambda: None
        self.connections: set[Protocol] = set()
        self.loop: asyncio.AbstractEventLoop
        self._stopped: asyncio.Event | None = None
        self._at_once = False

    def load_wsgi(self) -> None:
        """Load the service; what a person can mend is one line in the log, not a stack trace."""
        responder = None
        if self.drain_file is not None and self.drain_file.exists():
            service = self.app.app_uri.split(".")[1]  # app.<service>.wsgi:application
            status = refusal_status(service)
            responder = StartingResponder(self.sockets, self.drain_file, status)
        try:
            self.asgi = self.app.wsgi()
            self.asgi.lifecycle.siblings = self.siblings
            if self.tls is not None:
                from app.tls import identity

                identity(self.tls.directory)
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

    def run(self) -> None:
        """Serve until told to stop."""
        import asyncio

        import uvloop

        # What is loaded stays: the collector need not look through it again and again.
        gc.collect()
        gc.freeze()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            self.loop = runner.get_loop()
            runner.run(self._serve())

    def announce(self) -> None:
        """SIGTERM: announce, then finish what is in flight and exit 0.

        A drained service has been announced long ago: its readiness is 503 already.
        """
        lifecycle = self.asgi.lifecycle
        lifecycle.mark_stopping()
        if lifecycle.drained or not self.alive:
            self._stop()
        else:
            self.loop.call_later(ANNOUNCE, self._stop)

    def _stop_early(self, _: int, __: FrameType | None) -> None:
        self.alive = False

    def _quit(self) -> None:
        """SIGINT and SIGQUIT: stop at once."""
        self._at_once = True
        self._stop()

    def _stop(self) -> None:
        self.alive = False
        if self._stopped is not None:
            self._stopped.set()

    async def _serve(self) -> None:
        import asyncio

        from app.service.protocol import Protocol

        self._stopped = asyncio.Event()
        self.loop.add_signal_handler(signal.SIGTERM, self.announce)
        self.loop.add_signal_handler(signal.SIGINT, self._quit)
        self.loop.add_signal_handler(signal.SIGQUIT, self._quit)
        servers: list[Server] = []
        for listener in self.sockets:
            if self.tls is None:
                servers.append(
                    await self.loop.create_server(
                        lambda: Protocol(self), sock=listener.sock, backlog=self.cfg.backlog
                    )
                )
            else:
                from app.service.acceptor import Acceptor

                servers.append(Acceptor(listener.sock, lambda: Protocol(self), self.tls))
        if self.siblings is not None:
            path = self.siblings.board.socket_of(self.slot)
            Path(path).unlink(missing_ok=True)  # of the process before
            servers.append(await self.loop.create_unix_server(lambda: Protocol(self), path))
        self.on_serving()
        while self.alive and self.ppid == os.getppid():
            self.notify()
            try:
                await asyncio.wait_for(self._stopped.wait(), HEARTBEAT)
            except TimeoutError:
                continue
        self.alive = False
        for server in servers:
            server.close()
        # Requests in flight finish, and idle connections linger a little.
        now = self.loop.time()
        lingers, ends = now + LINGER, now + self.cfg.graceful_timeout
        while self.connections and not self._at_once and self.loop.time() < ends:
            self.notify()
            if self.loop.time() > lingers:
                for connection in tuple(self.connections):
                    connection.close_idle()
            await asyncio.sleep(LOOK)

"""The gunicorn worker: threads, with a stop that readiness announces before it happens."""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.workers import gthread

from app.errors import AskfleetError

# A stopping worker keeps idle kept-alive connections this long (gunicorn: 2 s); nginx retries what
# a close crosses, so a restart need not wait for them.
gthread.STOP_KEEPALIVE_LINGER = 0.2

# Time between readiness turning 503 and the socket no longer being accepted from, in seconds:
# enough for a pool to look once, short against the restart.
ANNOUNCE = 0.25


class Worker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A gthread worker that says "draining" on /readyz for a moment before it stops."""

    def load_wsgi(self) -> None:
        """Load the service; what a person can mend is one line in the log, not a stack trace."""
        try:
            super().load_wsgi()
        except AskfleetError as error:
            self.log.critical("the service cannot start: %s", error)
            sys.exit(Arbiter.APP_LOAD_ERROR)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: announce, then let gunicorn finish what is in flight and exit 0."""
        lifecycle: Any = getattr(self.wsgi, "extensions", {}).get("askfleet.lifecycle")
        if lifecycle is None or not self.alive:
            super().handle_exit(sig, frame)
            return
        lifecycle.mark_stopping()
        timer = threading.Timer(ANNOUNCE, super().handle_exit, (sig, frame))
        timer.daemon = True
        timer.start()

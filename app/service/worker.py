"""The gunicorn worker: threads, a start and a stop that nobody needs to wait for.

What is imported here, and in gunicorn_config, comes before a drained service can say that it is
starting: only what is light.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.http import message
from gunicorn.workers import gthread

from app.errors import AskfleetError
from app.service.refusal import refusal_status
from app.service.starting import StartingResponder

# A stopping worker keeps idle kept-alive connections this long (gunicorn: 2 s); nginx retries what
# a close crosses, so a restart need not wait for them.
gthread.STOP_KEEPALIVE_LINGER = 0.2

# A question in a URL may be plain UTF-8, as curl sends what is typed; gunicorn takes ASCII only.
message.RFC9112_TARGET_INVALID = re.compile(r"[\x00-\x20\x7f]")

# Time between readiness turning 503 and the socket no longer being accepted from, in seconds:
# enough for a pool to look once, short against the restart.
ANNOUNCE = 0.25


def write_error(sock: Any, status: int, reason: str, message: str) -> None:
    """What gunicorn says about requests that no application sees, in the shape of our errors."""
    code = reason.lower().replace(" ", "_")
    body = json.dumps(
        {
            "type": f"urn:askfleet:problem:{code}",
            "title": reason,
            "status": status,
            "detail": message or reason,
            "code": code,
        }
    )
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\n"
        f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, (head + body).encode("ascii"))


util.write_error = write_error


class Worker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A gthread worker that says "draining" on /readyz for a moment before it stops.

    ``drain_file`` is set by gunicorn_config.
    """

    drain_file: Path | None = None

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

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: announce, then let gunicorn finish what is in flight and exit 0.

        A drained service has been announced long ago: its readiness is 503 already.
        """
        application: Any = getattr(self, "wsgi", None)  # not there yet while it is loading
        lifecycle: Any = getattr(application, "extensions", {}).get("askfleet.lifecycle")
        if lifecycle is None or not self.alive:
            super().handle_exit(sig, frame)
            return
        lifecycle.mark_stopping()
        if lifecycle.drained:
            super().handle_exit(sig, frame)
            return
        timer = threading.Timer(ANNOUNCE, super().handle_exit, (sig, frame))
        timer.daemon = True
        timer.start()

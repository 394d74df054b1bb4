"""Whether anybody still waits for an answer: work for nobody is what overload can do without."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from app.errors import ProblemError


def check_waits(environ: Mapping[str, Any]) -> None:
    """Raise ProblemError 408 when the caller has closed its connection.

    Args:
        environ: of the request; gunicorn puts the connection there. Without it, nothing is known.
    """
    connection: socket.socket | None = environ.get("gunicorn.socket")
    if connection is None:
        return
    try:
        ended = connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return
    except OSError:
        ended = True
    if ended:
        raise ProblemError(408, "caller_gone", "the caller has closed its connection")

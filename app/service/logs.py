"""Logs as JSON, one line a record, for journald; the request id is that of every other hop.

gunicorn's own records go the same way (``gunicorn_config``). Only what is light is imported here:
it comes before a drained service can say that it is starting.
"""

from __future__ import annotations

import json
import logging
import os
import time
import traceback
from contextvars import ContextVar
from typing import Any

from gunicorn.glogging import Logger

# Of the request that this thread works on; empty between requests and outside of them.
request_id: ContextVar[str] = ContextVar("request_id", default="")

# Python's levels as syslog(3) counts them; journald takes "<N>" at the start of a line for it.
_PRIORITIES = {"CRITICAL": 2, "ERROR": 3, "WARNING": 4, "INFO": 6, "DEBUG": 7}


def trace(error: BaseException) -> str:
    """Where an error came from and of which kind, without its text, which may quote a question."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{frames}{type(error).__name__}"


class JsonFormatter(logging.Formatter):
    """One JSON object a record: time, level, logger, unit, message, and what a record brings.

    A record's ``told`` (``extra={"told": {…}}``) adds its members; None is left out.

    Args:
        unit: the service's name.
        journal: whether journald reads this, and takes the priority from the start of the line.
    """

    def __init__(self, unit: str, *, journal: bool = False) -> None:
        super().__init__()
        self._unit = unit
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "unit": self._unit,
            "message": record.getMessage(),
            "request_id": request_id.get() or None,
            **getattr(record, "told", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        told = {name: value for name, value in line.items() if value is not None}
        text = json.dumps(told, ensure_ascii=False, default=str)
        return f"<{_PRIORITIES.get(record.levelname, 6)}>{text}" if self._journal else text


class WithoutRequests(logging.Filter):
    """Takes out of gunicorn's own records what they quote of a request: a URL has the question."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record, some of them shortened."""
        if str(record.msg).startswith(("Error handling", "Error in ASGI application")):
            error = record.exc_info[1] if record.exc_info else None
            record.msg, record.args, record.exc_info = "the request failed", (), None
            record.told = {"exception": trace(error)} if error else {}
        return True


class JsonLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's logger, whose handlers are everybody's and write JSON."""

    def setup(self, cfg: Any) -> None:
        """Take gunicorn's own handlers (a file, or standard error) for the whole process."""
        super().setup(cfg)
        # systemd says so of what it connects to the journal; a file, or a terminal, is not told.
        journal = "JOURNAL_STREAM" in os.environ and cfg.errorlog == "-"
        formatter = JsonFormatter(os.environ.get("ASKFLEET_UNIT", "askfleet"), journal=journal)
        self.error_log.addFilter(WithoutRequests())
        root = logging.getLogger()
        for handler in self.error_log.handlers:
            handler.setFormatter(formatter)
            if handler not in root.handlers:
                root.addHandler(handler)
        logging.captureWarnings(True)

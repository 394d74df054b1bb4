"""No log quotes a request."""

import json
import logging

import pytest

from app.service.logs import JsonFormatter, WithoutRequests


@pytest.fixture
def lines() -> list[str]:
    """What gunicorn's logger writes."""
    return []


@pytest.fixture
def gunicorn(lines: list[str]) -> logging.Logger:
    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    log = logging.Logger("gunicorn.error")
    handler = Kept()
    handler.setFormatter(JsonFormatter("gateway"))
    log.addHandler(handler)
    log.addFilter(WithoutRequests())
    return log


def test_gunicorns_line_of_a_failed_request_has_its_trace_alone(
    gunicorn: logging.Logger, lines: list[str]
) -> None:
    try:
        json.loads("secret")
    except ValueError:
        gunicorn.exception("Error in ASGI application")
    [line] = lines
    assert "secret" not in line.replace('json.loads(\\"secret\\")', "")
    assert json.loads(line)["exception"].endswith("JSONDecodeError")


def test_its_other_lines_are_as_they_were(gunicorn: logging.Logger, lines: list[str]) -> None:
    gunicorn.info("Listening at: %s (%s)", "http://127.0.0.1:7000", 17)
    assert json.loads(lines[0])["message"] == "Listening at: http://127.0.0.1:7000 (17)"

"""A watch in a play: gateways are asked twice, and one that serves worse fails the task."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_sources import Run

BOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - askfleet.fleet.watch: {arguments}
      register: watched
    - debug:
        msg: "seen: {{{{ watched.told }}}}"
"""
Serve = Callable[[int, int], str]

pytestmark = pytest.mark.slow  # a play each


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a gateway that counts so many questions more, so many without an answer, each time."""
    servers = []

    def start(questions: int, answerless: int) -> str:
        asked = 0

        class Metrics(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                nonlocal asked
                asked += 1
                self.send_response(200 if self.path == "/metrics" else 404)
                self.end_headers()
                lines = (
                    f'askfleet_gateway_questions_total{{source="fleet"}} {asked * questions}',
                    f"askfleet_gateway_answerless_total {asked * answerless}",
                )
                self.wfile.write("\n".join(lines).encode() + b"\n")

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def watch(play: Run, tmp_path: Path, url: str, *others: str) -> tuple[int, str]:
    arguments = json.dumps({"url": url, "others": others, "seconds": 1})
    (tmp_path / "book.yml").write_text(BOOK.format(arguments=arguments))
    done = play(tmp_path / "book.yml")
    return done.returncode, " ".join(done.stdout.split())


def test_what_is_no_worse_goes_on(play: Run, tmp_path: Path, serve: Serve) -> None:
    status, told = watch(play, tmp_path, serve(500, 100), serve(500, 110), serve(400, 80))
    assert status == 0, told
    assert "watch: 1 of 1 s, 500 questions here, 900 on the others" in told
    assert "seen: 500 questions here" in told


def test_what_is_worse_fails_and_says_in_what(play: Run, tmp_path: Path, serve: Serve) -> None:
    status, told = watch(play, tmp_path, serve(500, 500), serve(500, 100))
    assert status == 2
    reason = "questions whose first result has no answer: 500 of 500"
    assert f"s after it was switched it is worse: {reason}" in told


def test_too_few_questions_are_said_to_be(play: Run, tmp_path: Path, serve: Serve) -> None:
    status, told = watch(play, tmp_path, serve(10, 10), serve(10, 0))
    assert status == 0, told
    assert "too few to judge" in told


def test_a_gateway_that_is_gone_fails_and_another_that_is_gone_does_not_count(
    play: Run, tmp_path: Path, serve: Serve
) -> None:
    status, told = watch(play, tmp_path, "http://127.0.0.1:9", serve(500, 0))
    assert status == 2
    assert "http://127.0.0.1:9/metrics does not answer" in told
    status, told = watch(play, tmp_path, serve(500, 500), "http://127.0.0.1:9")
    assert status == 0, told
    assert "500 questions here, 0 on the others: too few to judge" in told

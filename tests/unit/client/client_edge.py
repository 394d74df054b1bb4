"""An edge of one answer, on loopback."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RESULT = {"id": "q1", "text": "is it?", "answer": "Yes", "score": 0.5, "lexical": 0.25}
QUERY = {
    "match": "q1",
    "confidence": None,
    "results": [RESULT],
    "partial": False,
    "shards_asked": [2],
    "shards_missing": [],
}


def answer(result: dict[str, Any] | None = None, **query: Any) -> dict[str, Any]:
    """A body of `/v1/search`, with other members of the query and of its result."""
    one = {**QUERY, "results": [{**RESULT, **(result or {})}], **query}
    return {
        "generation": "G-1",
        "model": "m",
        "partial": one["partial"],
        "queries": [one],
        "timings_ms": {"total": 6.64},
    }


class Edge:
    """Answers what it is told to; keeps what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.body: Any = answer()
        self.headers: dict[str, str] = {}
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.url = ""


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Edge]:
    """Serve from a thread until the block ends."""
    edge = Edge()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # as the base calls it
            body = self.rfile.read(int(self.headers["Content-Length"]))
            edge.asked.append((self.path, dict(self.headers), json.loads(body)))
            sent = edge.body if isinstance(edge.body, str) else json.dumps(edge.body)
            self.send_response(edge.status)
            for name, value in edge.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(sent.encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    edge.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield edge
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

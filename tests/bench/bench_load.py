"""The load: so many clients, each with a connection that it keeps, ask one question after another.

A process of its own, so that what it costs counts for nobody: it reads a job on stdin and writes
what it saw on stdout, both JSON.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from typing import Any


class Job:
    """Requests to send, shared by the clients."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.port: int = told["port"]
        self.requests: list[tuple[str, str, str, dict[str, str]]] = told["requests"]
        self.ends = time.monotonic() + told["seconds"]
        self.keep: bool = told["keep"]
        self.seconds: list[float] = []
        self.failed: list[str] = []
        self.bodies: dict[int, str] = {}
        self._next = iter(range(len(self.requests)))
        self._lock = threading.Lock()

    def take(self) -> int | None:
        """The next request's number; None when the time, or all that there is, is up."""
        with self._lock:
            return next(self._next, None) if time.monotonic() < self.ends else None

    def client(self) -> None:
        """Ask until there is nothing more to ask."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while (number := self.take()) is not None:
            method, path, body, headers = self.requests[number]
            begun = time.perf_counter()
            try:
                connection.request(method, path, body.encode(), headers)
                with connection.getresponse() as response:
                    answer = response.read()
                    status = response.status
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
                continue
            self.seconds.append(time.perf_counter() - begun)
            if status != 200:
                self.failed.append(f"{status}: {answer[:200]!r}")
            elif self.keep:
                self.bodies[number] = answer.decode()


def main() -> None:
    """Run one job."""
    told = json.load(sys.stdin)
    job = Job(told)
    begun = time.perf_counter()
    clients = [threading.Thread(target=job.client) for _ in range(told["clients"])]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    seconds = time.perf_counter() - begun
    json.dump(
        {
            "seconds": seconds,
            "latencies": job.seconds,
            "failed": job.failed,
            "bodies": job.bodies,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()

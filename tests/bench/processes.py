"""Many cores: one gateway of one and of two processes, whose encoder and shards answer at once.

    .venv/bin/python tests/bench/processes.py --generation var/generations/<id>

Clients and answering services share this machine's cores with the gateway, so questions a second
say little. What counts is the CPU that the gateway itself takes for a question: a core's worth of
questions is one over it, and two processes fill two cores when both get their share of the work.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import uvloop
from bench_processes import cpu_seconds
from peer_process import await_until, free_port, spawn, stop

from app.generation.manifest import Manifest
from app.generation.routing import CENTROIDS
from app.service.frames import Frames
from app.wire import vectors_to_bytes
from app.wire.frames import Answer, Encode, Question

HERE = Path(__file__).parent
HITS = 10


class Instant(asyncio.Protocol):
    """A connection of a service that answers every question at once."""

    def __init__(self, centroids: np.ndarray, generation: str, shard: int) -> None:
        self._centroids = centroids
        self._next = 0
        hits = [
            {
                "ordinal": shard * HITS + n,
                "id": f"d{shard}-{n}",
                "text": "a question that is known",
                "answer": "its answer",
                "metadata": {},
                "score": 0.9 - n / 100,
            }
            for n in range(HITS)
        ]
        self._hits = json.dumps(hits)
        self._head = f'{{"generation":"{generation}","shard":{shard},"results":['
        self._transport: asyncio.BaseTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert data.endswith(b"\r\n\r\n"), data
        Frames(set(), self._answer).switch(self._transport)

    def _answer(self, asked: Question, _: object) -> Answer:
        if isinstance(asked, Encode):
            rows = np.arange(self._next, self._next + len(asked.texts)) % len(self._centroids)
            self._next += len(asked.texts)
            return Answer(2, vectors_to_bytes(self._centroids[rows]))
        count = len(asked.vectors) // (4 * self._centroids.shape[1])
        return Answer(1, f"{self._head}{','.join([self._hits] * count)}]}}".encode())


def serve(generation: Path, ports: list[int]) -> None:
    """An encoder on the first port, shards on the others; until it is killed."""
    manifest = Manifest.load(generation)
    centroids = np.load(generation / CENTROIDS)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for shard, port in enumerate(ports, -1):
            made = partial(Instant, centroids, manifest.id, shard)
            await loop.create_server(made, "127.0.0.1", port)
        await asyncio.Event().wait()

    uvloop.run(run())


@contextmanager
def gateway(
    generation: Path, ports: list[int], processes: int, work: Path
) -> Iterator[tuple[int, int]]:
    """A gateway before these services; its port and its arbiter's process."""
    links = work / f"links-{processes}"
    links.mkdir()
    (links / "current").symlink_to(generation)
    port = free_port()
    shards = [f"127.0.0.1:{one}" for one in ports[1:]]
    settings = {
        "ASKFLEET_BIND": f"127.0.0.1:{port}",
        "ASKFLEET_LINKS": str(links),
        "ASKFLEET_DRAIN_FILE": str(work / "drain"),
        "ASKFLEET_PROCESSES": str(processes),
        "ASKFLEET_ENCODER_URL": "http://127.0.0.1:9",
        "ASKFLEET_SHARD_URLS": ",".join(["http://127.0.0.1:9"] * len(shards)),
        "ASKFLEET_ENCODER_REPLICAS": f"127.0.0.1:{ports[0]}",
        "ASKFLEET_SHARD_REPLICAS": ",".join(shards),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "gunicorn", "--config"]
    command += ["python:app.service.gunicorn_config", "app.gateway.wsgi:application"]
    log = work / f"gateway-{processes}.log"
    process = spawn(command, log, **settings)
    try:
        await_until(partial(_answers, port), process, log)
        yield port, process.pid
    finally:
        stop([process])


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/search?q=a&cache=0") as answer:
            return answer.status == 200
    except OSError:
        return False


def ask(port: int, clients: int, seconds: float, *, linked: bool = True) -> tuple[int, float]:
    """Questions answered, and seconds; until a gateway is linked it has no pool to fall back to."""
    now = time.time_ns()
    body = [json.dumps({"queries": [f"question {n} {now}"], "k": HITS}) for n in range(9000)]
    told = {
        "port": port,
        "requests": [("POST", "/v1/search", one, {}) for one in body],
        "seconds": seconds,
        "keep": False,
        "clients": clients,
    }
    load = [sys.executable, HERE / "bench_load.py"]
    done = subprocess.run(load, input=json.dumps(told).encode(), capture_output=True, check=True)
    found = json.loads(done.stdout)
    if linked and found["failed"]:
        raise RuntimeError(f"{len(found['failed'])} failed: {found['failed'][0]}")
    return len(found["latencies"]), found["seconds"]


def shares(port: int) -> list[int]:
    """How many searches each process has answered, in percent."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    pattern = r'askfleet_requests_total\{endpoint="/v1/search".*\} (\S+)'
    counts = [float(found) for found in re.findall(pattern, text)]
    return [round(100 * count / sum(counts)) for count in counts]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generation", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--serve", type=int, nargs="*", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.generation = asked.generation.resolve()
    if asked.serve:
        serve(asked.generation, asked.serve)
        return
    ports = [free_port() for _ in range(1 + len(Manifest.load(asked.generation).shards))]
    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, __file__, "--generation", str(asked.generation)]
        instant = spawn([*command, "--serve", *map(str, ports)], Path(work) / "instant.log")
        try:
            cost: dict[int, list[float]] = {1: [], 2: []}
            with (
                gateway(asked.generation, ports, 1, Path(work)) as one,
                gateway(asked.generation, ports, 2, Path(work)) as two,
            ):
                for port, _ in (one, two):
                    ask(port, asked.clients, 1.0, linked=False)
                for _ in range(asked.rounds):
                    for processes, (port, root) in ((1, one), (2, two)):
                        before = cpu_seconds([root])
                        count, seconds = ask(port, asked.clients, asked.seconds)
                        spent = cpu_seconds([root]) - before
                        cost[processes].append(spent / count)
                        print(
                            f"{processes} processes: {count / seconds:.0f} questions/s, CPU "
                            f"{1e3 * spent / count:.3f} ms each, shares {shares(port)} %",
                            flush=True,
                        )
        finally:
            stop([instant])
    single, double = median(cost[1]), median(cost[2])
    print(f"one core's worth: {1 / single:.0f} questions/s of one process")
    print(f"two cores' worth: {2 / double:.0f} of two, {2 * single / double:.2f} times as many")


if __name__ == "__main__":
    main()

"""askfleet itself, with default settings: the stack of `make stack` on ports of the bench's own."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench_data import Data, K
from bench_system import REPO, Asked
from peer_process import await_until, free_port, spawn, stop

SHARDS = 4
OFFSET = 21000


class Askfleet:
    """nginx at the edge, gateway, pools, encoder and four shards."""

    name = "askfleet"
    told = "nginx, gateway, encoder, four shards by adaptive routing; default settings"

    def __init__(self, directory: Path, port: int) -> None:
        self.port = port
        self.stack = directory / "stack"
        self._directory = directory
        self.generation = Path()
        self._model = Path()

    def prepare(self, data: Data) -> None:
        """Build the generation with the builder's defaults."""
        command: list[str | Path] = [sys.executable, "-m", "index_builder", "build", "--json"]
        command += ["--corpus", data.corpus, "--model", data.model, "--shards", str(SHARDS)]
        command += [
            "--out",
            self._directory / "generations",
            "--work",
            self._directory.parent / "work",
        ]
        done = subprocess.run(command, cwd=REPO, stdout=subprocess.PIPE, check=True)
        self.generation = Path(json.loads(done.stdout)["directory"])
        self._model = data.model

    def start(self) -> None:
        """Play it; what an earlier run left running is stopped first."""
        self.stop()
        self._play(
            stack_generation=self.generation.resolve(), stack_models=self._model.resolve().parent
        )

    def _play(self, **more: Any) -> None:
        settings = {
            "stack_dir": self.stack.resolve(),
            "stack_port": self.port,
            "stack_port_offset": OFFSET,
            "askfleet_rate_per_address": 1_000_000,  # all clients of a bench have one
            **more,
        }
        extra = [part for name, value in settings.items() for part in ("-e", f"{name}={value}")]
        programs = Path(sys.executable).parent
        done = subprocess.run(
            [programs / "ansible-playbook", "playbooks/stack.yml", *extra],
            cwd=REPO,
            env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"playbooks/stack.yml failed:\n{done.stdout[-3000:]}{done.stderr}")

    def roots(self) -> dict[str, list[int]]:
        """Process ids by part; the edge's nginx is the pools' too."""
        return {
            path.stem: [int(path.read_text(encoding="ascii"))]
            for path in sorted((self.stack / "run").glob("*.pid"))
        }

    def ready_seconds(self, name: str) -> float:
        """Seconds from the start of another process of this service until it is READY."""
        lines = (self.stack / f"etc/{name}.env").read_text(encoding="utf-8").splitlines()
        settings = dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")
        port = free_port()
        settings |= {"ASKFLEET_BIND": f"127.0.0.1:{port}", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "gunicorn", "--config"]
        kind = name.partition("-")[0]
        command += ["python:app.service.gunicorn_config", f"app.{kind}.wsgi:application"]
        log = self._directory.absolute() / f"{name}.log"
        found = []
        for _ in range(5):
            begun = time.monotonic()
            process = spawn(command, log, **settings)
            try:
                await_until(partial(_is_ready, port), process, log)
                found.append(time.monotonic() - begun)
            finally:
                stop([process])
        return median(found)

    def request(self, question: str) -> Asked:
        """A search that asks for K."""
        body = json.dumps({"queries": [question], "k": K}).encode()
        return Asked("POST", "/v1/search", body, {"Content-Type": "application/json"})

    def request_by_score(self, question: str) -> Asked:
        """The same, ordered by score alone, as the peers order."""
        return self.request(question)._replace(path="/v1/search?rescore=0")

    def ids(self, body: bytes) -> list[str]:
        """The ids, best first."""
        return [found["id"] for found in json.loads(body)["queries"][0]["results"]]

    def stop(self) -> None:
        """End its processes."""
        self._play(stack_state="absent")


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

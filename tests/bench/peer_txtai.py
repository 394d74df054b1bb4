"""txtai: its own API over its own index, with askfleet's engine for its external vectors."""

import json
import os
import sys
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray
from peer import K, Peer, documents
from peer_process import Process, spawn

from app.generation.engine import Engine, open_engine

MODEL = "PEER_MODEL"


class Txtai(Peer):
    """``uvicorn txtai.api:app``, which encodes and searches in one process."""

    name = "txtai"

    def launch(self, processes: list[Process], directory: Path, model: Path, port: int) -> None:
        config = directory / "config.yml"
        # JSON is YAML, and quotes whatever the path has in it.
        config.write_text(json.dumps({"path": str(directory / "data"), "embeddings": settings()}))
        command = [self.python, "-m", "uvicorn", "txtai.api:app", "--host", "127.0.0.1"]
        command += ["--port", str(port), "--log-level", "warning"]
        own = {"CONFIG": str(config), "ALLOW_RESOLVE_TRANSFORM": "True", MODEL: str(model)}
        processes.append(spawn(command, directory / "api.log", OMP_NUM_THREADS="1", **own))

    def request(self, question: str) -> tuple[str, str, bytes, dict[str, str]]:
        return "GET", "/search?" + urlencode({"query": question, "limit": K}), b"", {}

    def ids(self, body: bytes) -> list[str]:
        return [hit["id"] for hit in json.loads(body)]


def settings() -> dict[str, str | bool]:
    """Vectors from outside, no texts kept; the index is as txtai makes it."""
    return {"method": "external", "transform": "peer_txtai.encode", "content": False}


def encode(texts: list[str]) -> NDArray[np.float32]:
    """What txtai calls with the questions."""
    return engine().encode(texts)


@cache
def engine() -> Engine:
    """The engine of this process, opened by the question that ``start`` waits for."""
    return open_engine(Path(os.environ[MODEL]))


def load(directory: Path) -> None:
    """Build and save the index; runs where txtai is installed."""
    os.environ["ALLOW_RESOLVE_TRANSFORM"] = "True"
    from txtai import Embeddings

    ids, vectors = documents(directory)
    embeddings = Embeddings(settings())
    embeddings.index((name, vector, None) for name, vector in zip(ids, vectors, strict=True))
    embeddings.save(str(directory / "data"))


if __name__ == "__main__":
    load(Path(sys.argv[2]))

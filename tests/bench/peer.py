"""What every peer does alike: documents handed over, an API started, questions asked."""

import hashlib
import json
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peer_process import (
    HERE,
    LOG_END,
    PATIENCE,
    PeerError,
    Process,
    await_until,
    environment,
    spawn,
    stop,
)

K = 10
THREADS = 8


class Peer(ABC):
    """One product behind its own interface.

    Args:
        python: has its packages; this process need not.
        batching: whether texts that wait are encoded together.
    """

    name: str

    def __init__(self, python: Path, *, batching: bool = False) -> None:
        self.python = python.absolute()
        self.batching = batching

    def prepare(
        self,
        directory: Path,
        ids: Sequence[str],
        texts: Sequence[str],
        vectors: NDArray[np.float32],
    ) -> None:
        """Load the documents, unless ``directory`` has these very ones already."""
        directory = directory.absolute()
        directory.mkdir(parents=True, exist_ok=True)
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        module = HERE / f"peer_{self.name}.py"
        digest = hashlib.sha256(json.dumps([*ids, *texts]).encode())
        digest.update(module.read_bytes())  # and how it is loaded
        digest.update(vectors)
        done = directory / "loaded"
        if done.exists() and done.read_text() == digest.hexdigest():
            return
        done.unlink(missing_ok=True)
        shutil.rmtree(directory / "data", ignore_errors=True)
        (directory / "ids.json").write_text(json.dumps(list(ids)))
        (directory / "texts.json").write_text(json.dumps(list(texts)))
        np.save(directory / "vectors.npy", vectors)
        command = [self.python, module, "load", directory]
        ran = subprocess.run(command, env=environment(), capture_output=True, text=True)
        if ran.returncode != 0:
            raise PeerError(f"{self.name} did not load:\n{ran.stderr[-LOG_END:]}")
        done.write_text(digest.hexdigest())

    def start(self, directory: Path, model: Path, port: int) -> list[Process]:
        """Start all it needs, the API first in the list; returns once a question is answered."""
        processes: list[Process] = []
        directory = directory.absolute()
        try:
            self.launch(processes, directory, model.absolute(), port)
            await_until(lambda: self.answers(port), processes[0], directory / "api.log")
        except BaseException:
            self.stop(processes)
            raise
        return processes

    def stop(self, processes: list[Process]) -> None:
        """End them."""
        stop(processes)

    @abstractmethod
    def launch(self, processes: list[Process], directory: Path, model: Path, port: int) -> None:
        """Start each process and put it into ``processes`` at once."""

    def encoder(self, model: Path) -> dict[str, str]:
        """What tells ``peer_encoder`` what to open; one thread a pass, as in askfleet."""
        batching = str(int(self.batching))
        return {"PEER_MODEL": str(model), "PEER_BATCHING": batching, "OMP_NUM_THREADS": "1"}

    def answers(self, port: int) -> bool:
        """Whether a question gets documents for an answer."""
        method, path, body, headers = self.request("does it answer")
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read()
            return response.status == 200 and bool(self.ids(content))
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    @abstractmethod
    def request(self, question: str) -> tuple[str, str, bytes, dict[str, str]]:
        """How to ask: method, path with query, body, headers."""

    @abstractmethod
    def ids(self, body: bytes) -> list[str]:
        """The documents in an answer, best first."""


class ApiPeer(Peer):
    """A peer that is a vector store only: one API process encodes and asks it by its client."""

    def launch_api(self, directory: Path, model: Path, port: int, store_port: int) -> Process:
        """Start ``peer_api`` before this store."""
        of = f"{self.name!r}, {str(directory)!r}, {store_port}"
        command = [self.python, "-m", "gunicorn", f"--bind=127.0.0.1:{port}", "--workers=1"]
        command += [f"--threads={THREADS}", "--worker-class=gthread", "--keep-alive=75"]
        # The socket would be at one path for every gunicorn of this user.
        command += ["--no-control-socket", f"peer_api:create_app({of})"]
        encoder = self.encoder(model)
        return spawn(command, directory / "api.log", **encoder, **self.settings())

    def settings(self) -> dict[str, str]:
        """What the client reads from the environment."""
        return {}

    def request(self, question: str) -> tuple[str, str, bytes, dict[str, str]]:
        body = json.dumps({"question": question}).encode()
        return "POST", "/search", body, {"Content-Type": "application/json"}

    def ids(self, body: bytes) -> list[str]:
        return self.found(body)

    def found(self, body: bytes) -> list[Any]:
        """What the store's ``connect`` gave, best first."""
        found: list[Any] = json.loads(body)["found"]
        return found


def documents(directory: Path) -> tuple[list[str], NDArray[np.float32]]:
    """What ``prepare`` handed over, for the peer's own process to load."""
    return json.loads((directory / "ids.json").read_text()), np.load(directory / "vectors.npy")


def texts(directory: Path) -> list[str]:
    """Their texts."""
    return list(json.loads((directory / "texts.json").read_text()))

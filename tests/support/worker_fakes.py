"""What a build gives its workers in tests, and a cluster of Dask on loopback; workers import it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from distributed import Security
from encoder_fakes import FakeEngine

from app.generation.model import Model
from index_builder.workers import Remote

ROOT = Path(__file__).parents[2]


def open_fake(directory: Path) -> FakeEngine:
    return FakeEngine(Model.load(directory).fingerprint)


class _DyingOnce(FakeEngine):
    """Kills its process at one text, once: a file beside the artefact remembers."""

    def __init__(self, directory: Path) -> None:
        super().__init__(Model.load(directory).fingerprint)
        self._died = directory.with_name("died")

    def encode(self, texts, side="query"):
        if "question number 30" in texts and not self._died.exists():
            self._died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(texts, side)


def open_dying_once(directory: Path) -> FakeEngine:
    return _DyingOnce(directory)


def slow_square(number: int) -> int:
    time.sleep(0.3)
    return number * number


class LoopbackCluster:
    """A scheduler and two workers, each a process in a directory of its own; a context manager."""

    def __init__(self, root: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"tls://127.0.0.1:{free.getsockname()[1]}"
        made = Security.temporary()
        files = [root / name for name in ("ca.pem", "certificate.pem", "key.pem")]
        pems = (made.tls_ca_file, made.tls_client_cert, made.tls_client_key)
        for path, pem in zip(files, pems, strict=True):
            path.write_text(pem)
        self.remote = Remote(address, *files)
        self._root = root
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "LoopbackCluster":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        port = self.remote.address.rpartition(":")[2]
        self._run("scheduler", "scheduler", "--host", "tls://127.0.0.1", "--port", port)
        for name in ("one", "two"):
            self._run(
                name, "worker", self.remote.address, "--nthreads", "1", "--host", "127.0.0.1",
                "--local-directory", str(self._root / name),
            )  # fmt: skip

    def kill(self) -> None:
        """All of it at once; workers end with the processes that keep them."""
        for process in self._started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._started.clear()

    def _run(self, name: str, *command: str) -> None:
        directory = self._root / name
        directory.mkdir(exist_ok=True)
        ca, certificate, key = (
            str(path) for path in (self.remote.ca, self.remote.certificate, self.remote.key)
        )
        with (directory / "log").open("ab") as log:
            self._started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "dask", *command, "--no-dashboard",
                     "--tls-ca-file", ca, "--tls-cert", certificate, "--tls-key", key],
                    cwd=directory,
                    env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests/support'}"},
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )  # fmt: skip

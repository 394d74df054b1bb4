"""What a worker process of a cluster is told first: what it must be like, and models."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from distributed import Worker, WorkerPlugin
from threadpoolctl import threadpool_limits

import index_builder
from app.errors import BuildError
from app.generation import model

PACKAGES = ("faiss-cpu", "numpy", "onnxruntime", "tokenizers")
MODELS = "askfleet-models"


@cache
def identity() -> dict[str, str]:
    """What decides the bits of a result: sources, packages, and how matrices are multiplied.

    As this process found them first: files may change below one that stays.
    """
    sources = hashlib.sha256()
    for root in (Path(model.__file__).parent, Path(index_builder.__path__[0])):
        for path in sorted(root.rglob("*.py")):
            sources.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    some = np.random.default_rng(0).random((96, 384), np.float32)
    with threadpool_limits(limits=1, user_api="blas"):
        product = hashlib.sha256((some @ some[:65].T).tobytes())
    found = {name: version(name) for name in PACKAGES}
    return {
        "release": sources.hexdigest()[:16],
        **found,
        "matrix products": product.hexdigest()[:16],
    }


@dataclass(slots=True)
class Same(WorkerPlugin):
    """Refuses a worker whose results may have other bits than the builder's."""

    wanted: dict[str, str]
    name: str = "askfleet-same"

    def setup(self, worker: Worker) -> None:
        """Raises BuildError naming what differs."""
        own = identity()
        for what, wanted in self.wanted.items():
            if own.get(what) != wanted:
                raise BuildError(
                    f"worker {worker.address}: {what} {own.get(what)}, the builder has {wanted}: "
                    "give both the same release and the same kind of processor"
                )


@dataclass(slots=True)
class Brought(WorkerPlugin):
    """A model artefact on its way to every worker, those that start later included."""

    files: dict[str, bytes]
    directory: str
    name: str

    @classmethod
    def read(cls, directory: Path) -> Brought:
        """The artefact in ``directory``."""
        files = {
            path.relative_to(directory).as_posix(): path.read_bytes()
            for path in sorted(directory.rglob("*"))
            if path.is_file()
        }
        return cls(files, place_of(directory).as_posix(), f"askfleet-model-{directory.name}")

    def setup(self, worker: Worker) -> None:
        """Write it below the worker's own directory."""
        target = Path(worker.local_directory) / self.directory
        unfinished = target.with_name(f".{target.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        for name, content in self.files.items():
            (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
            (unfinished / name).write_bytes(content)
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
        self.files = {}


def place_of(directory: Path) -> Path:
    """Where a brought artefact lies, below the directory of each worker."""
    return Path(MODELS) / directory.resolve().name

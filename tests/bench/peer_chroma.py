"""ChromaDB: its server in a process of its own, asked through its HTTP client."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from peer import ApiPeer, K, documents
from peer_process import Process, await_until, free_port, listens, spawn

COLLECTION = "documents"


class Chroma(ApiPeer):
    """Chroma as its documentation deploys it: ``chroma run`` and ``HttpClient``."""

    name = "chroma"

    def launch(self, processes: list[Process], directory: Path, model: Path, port: int) -> None:
        store_port, log = free_port(), directory / "chroma.log"
        command = [self.python.with_name("chroma"), "run", "--path", directory / "data"]
        command += ["--host", "127.0.0.1", "--port", str(store_port)]
        processes.append(spawn(command, log, **self.settings()))
        await_until(lambda: listens(store_port), processes[0], log)
        processes.insert(0, self.launch_api(directory, model, port, store_port))

    def settings(self) -> dict[str, str]:
        return {"ANONYMIZED_TELEMETRY": "False"}


def load(directory: Path) -> None:
    """Fill the directory that the server will open; runs where chromadb is installed."""
    import chromadb

    ids, vectors = documents(directory)
    settings = chromadb.Settings(anonymized_telemetry=False)
    client = chromadb.PersistentClient(str(directory / "data"), settings=settings)
    # Cosine is what unit vectors are for; the rest of the index is as Chroma makes it.
    collection = client.create_collection(
        COLLECTION, configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
    )
    step = client.get_max_batch_size()
    for start in range(0, len(ids), step):
        collection.add(ids[start : start + step], embeddings=vectors[start : start + step])


def connect(_: Path, port: int) -> Callable[[NDArray[np.float32]], list[str]]:
    """Ask the server by its client, which threads may share."""
    import chromadb

    collection = chromadb.HttpClient("127.0.0.1", port).get_collection(
        COLLECTION, embedding_function=None
    )

    def nearest(vector: NDArray[np.float32]) -> list[str]:
        found = collection.query(query_embeddings=[vector], n_results=K, include=[])
        return list(found["ids"][0])

    return nearest


if __name__ == "__main__":
    load(Path(sys.argv[2]))

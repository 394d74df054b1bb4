"""txtai: its own API over its own index, with askfleet's engine for its external vectors."""

import json
import sys
from pathlib import Path
from urllib.parse import urlencode

from peer import K, Peer, documents
from peer_process import Process, spawn

# By itself txtai makes IVF with a recall@10 of 0.95, and needs 0.8 ms a search for 0.98. HNSW is an
# index it can make; how far to look is no setting of it, but is kept in FAISS's file.
VECTORS = {"method": "external", "content": False, "faiss": {"components": "IDMap,HNSW32"}}
EFFORT = 40


class Txtai(Peer):
    """``uvicorn txtai.api:app``, which encodes and searches in one process."""

    name = "txtai"

    def launch(self, processes: list[Process], directory: Path, model: Path, port: int) -> None:
        config = directory / "config.yml"
        vectors = {**VECTORS, "transform": "peer_encoder.encode"}
        # JSON is YAML, and quotes whatever the path has in it.
        config.write_text(json.dumps({"path": str(directory / "data"), "embeddings": vectors}))
        command = [self.python, "-m", "uvicorn", "txtai.api:app", "--host", "127.0.0.1"]
        command += ["--port", str(port), "--log-level", "warning"]
        own = {"CONFIG": str(config), **self.encoder(model)}
        processes.append(spawn(command, directory / "api.log", **own))

    def request(self, question: str) -> tuple[str, str, bytes, dict[str, str]]:
        return "GET", "/search?" + urlencode({"query": question, "limit": K}), b"", {}

    def ids(self, body: bytes) -> list[str]:
        return [hit["id"] for hit in json.loads(body)]


def load(directory: Path) -> None:
    """Build and save the index; runs where txtai is installed."""
    import faiss
    from txtai import Embeddings

    ids, vectors = documents(directory)
    embeddings = Embeddings(VECTORS)
    embeddings.index((name, vector, None) for name, vector in zip(ids, vectors, strict=True))
    faiss.downcast_index(embeddings.ann.backend.index).hnsw.efSearch = EFFORT
    embeddings.save(str(directory / "data"))


if __name__ == "__main__":
    load(Path(sys.argv[2]))

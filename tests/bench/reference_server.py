"""The course project's services, as it had them: Flask's development server, JSON, plain requests.

``encoder MODEL PORT``, ``shard DIR PORT``, ``gateway DIR PORT ENCODER_PORT SHARD_PORT…``. One thing
is mended: it asks the nearest cluster, not the farthest.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from flask import Flask, jsonify, request

K = 10
app = Flask(__name__)


def encoder(model: str) -> None:
    """Serve text -> vector, by sentence-transformers on torch."""
    from sentence_transformers import SentenceTransformer

    encode = SentenceTransformer(model, device="cpu", local_files_only=True).encode

    @app.post("/encode")
    def _encode() -> object:
        texts = request.get_json(force=True)["instances"]
        vectors = encode(texts, normalize_embeddings=True, show_progress_bar=False)
        return jsonify({"predictions": vectors.tolist()})


def shard(directory: Path) -> None:
    """Serve vector -> the nearest documents, from an IndexFlatL2."""
    import faiss

    index = faiss.read_index(str(directory / "index.faiss"))
    documents = json.loads((directory / "documents.json").read_text(encoding="utf-8"))

    @app.post("/search")
    def _search() -> object:
        vectors = np.array(request.get_json(force=True)["vectors"], dtype=np.float32)
        _, found = index.search(vectors, K)
        return jsonify({"results": [[documents[i] for i in row if i >= 0] for row in found]})


def gateway(directory: Path, encoder_port: str, shard_ports: list[str]) -> None:
    """Serve text -> the nearest documents of the nearest cluster."""
    import requests

    centroids = np.load(directory / "centroids.npy")

    @app.post("/process")
    def _process() -> object:
        texts = request.get_json(force=True)["instances"]
        url = f"http://127.0.0.1:{encoder_port}/encode"
        vectors = requests.post(url, json={"instances": texts}, timeout=60).json()["predictions"]
        nearest = int(np.argmax(centroids @ np.array(vectors[0], dtype=np.float32)))
        url = f"http://127.0.0.1:{shard_ports[nearest]}/search"
        results = requests.post(url, json={"vectors": vectors}, timeout=60).json()["results"]
        return jsonify({"match": results[0][0]["text"], "results": results[0]})


def main() -> None:
    """Serve what the command line says."""
    kind, where, port, *others = sys.argv[1:]
    if kind == "encoder":
        encoder(where)
    elif kind == "shard":
        shard(Path(where))
    else:
        gateway(Path(where), others[0], others[1:])
    app.run(host="127.0.0.1", port=int(port))


if __name__ == "__main__":
    main()

"""One API process before a vector store: a question in, its ten nearest documents out.

gunicorn serves ``create_app``; the store is a module ``peer_<name>`` with ``connect``.
"""

from importlib import import_module
from pathlib import Path

import peer_encoder
from flask import Flask, Response, jsonify, request


def create_app(name: str, directory: str, store_port: int) -> Flask:
    """Open the store's client, before the first question."""
    nearest = import_module(f"peer_{name}").connect(Path(directory), store_port)
    app = Flask(__name__)

    @app.post("/search")
    def search() -> Response:
        question: str = request.get_json()["question"]
        return jsonify(found=nearest(peer_encoder.encode([question])[0]))

    return app

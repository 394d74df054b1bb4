"""One API process before a vector store: a question in, the ids of its ten nearest documents out.

gunicorn serves ``create_app``; the store is a module ``peer_<name>`` with ``connect``.
"""

from importlib import import_module
from pathlib import Path

from flask import Flask, Response, jsonify, request

from app.generation.engine import open_engine


def create_app(name: str, directory: str, model: str, store_port: int) -> Flask:
    """Open the engine and the store's client, before the first question."""
    engine = open_engine(Path(model))
    nearest = import_module(f"peer_{name}").connect(Path(directory), store_port)
    app = Flask(__name__)

    @app.post("/search")
    def search() -> Response:
        question: str = request.get_json()["question"]
        return jsonify(ids=nearest(engine.encode([question])[0]))

    return app

"""A whole fleet in one process: the real services and the real upstream code, without sockets."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from encoder_fakes import Opener, make_config
from flask import Flask
from flask.testing import FlaskClient
from requests.adapters import BaseAdapter
from small_generations import SmallGeneration, gateway_config, link, shard_config

from app.config import GatewayConfig
from app.encoder import create_app as create_encoder
from app.gateway import create_app as create_gateway
from app.gateway.upstream import Upstream
from app.shard import create_app as create_shard


class AppAdapter(BaseAdapter):
    """Sends the requests of a session to a Flask application, or fails as a dead host would."""

    def __init__(self, app: Flask) -> None:
        super().__init__()
        self.app = app
        self.dead = False
        self.headers: list[dict[str, str]] = []

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        if self.dead:
            raise requests.ConnectionError("no replica")
        url = urlsplit(str(request.url))
        self.headers.append(dict(request.headers))
        answer = self.app.test_client().open(
            url.path,
            method=request.method,
            query_string=url.query,
            headers=dict(request.headers),
            data=request.body,
        )
        response = requests.Response()
        response.status_code = answer.status_code
        response.headers.update(answer.headers)
        response._content = answer.data
        response.url = str(request.url)
        return response

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class LocalFleet:
    """Clients of every service, and the wires between them."""

    generation: SmallGeneration
    config: GatewayConfig
    gateway: FlaskClient
    shards: list[FlaskClient]
    encoder: FlaskClient
    wires: dict[str, AppAdapter]

    @property
    def clients(self) -> dict[str, FlaskClient]:
        return {"gateway": self.gateway, "shard": self.shards[0], "encoder": self.encoder}


def start_fleet(
    root: Path, generation: SmallGeneration, previous: SmallGeneration | None = None
) -> LocalFleet:
    """Encoder, shards and gateway on one generation; shards and gateway hold ``previous`` too."""
    count = len(generation.manifest.shards)
    encoder_root = root / "encoder"
    encoder_root.mkdir()
    apps = {
        "encoder": create_encoder(make_config(encoder_root, generation.artefact), opener=Opener())
    }
    older = previous.directory if previous else None
    links = link(root / "shard", generation.directory, older)
    for shard in range(count):
        apps[f"shard-{shard}"] = create_shard(shard_config(links, shard))
    session = requests.Session()
    session.trust_env = False
    wires = {name: AppAdapter(app) for name, app in apps.items()}
    for name, wire in wires.items():
        session.mount(f"http://{name}", wire)
    config = gateway_config(link(root / "gateway", generation.directory, older), count)
    gateway = create_gateway(config, Upstream(session, config.encoder_url, config.shard_urls))
    return LocalFleet(
        generation,
        config,
        gateway.test_client(),
        [apps[f"shard-{shard}"].test_client() for shard in range(count)],
        apps["encoder"].test_client(),
        wires,
    )

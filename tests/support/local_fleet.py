"""A whole fleet in one process: the real services and the real upstream code, without sockets."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from asgi_client import Client
from encoder_fakes import Opener, make_config
from small_generations import SmallGeneration, gateway_config, link, shard_config

from app.config import GatewayConfig
from app.encoder import create_app as create_encoder
from app.gateway import create_app as create_gateway
from app.gateway import fleet_of
from app.gateway.connections import Answer
from app.gateway.upstream import Upstream
from app.service.application import Application
from app.shard import create_app as create_shard


class Wire:
    """Sends what goes to one service to its application, or answers as an empty pool does."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.dead = False
        self.headers: list[dict[str, str]] = []

    async def post(self, target: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        if self.dead:
            return Answer(502, {"askfleet-tried": "502"}, b"")  # the pool's nginx
        self.headers.append(dict(headers))
        answer = await asyncio.to_thread(
            Client(self.app).post, target, headers=dict(headers), data=body
        )
        told = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, told, answer.data)


class Wires(dict[str, Wire]):
    """A transport without sockets: a wire for each service, by its name."""

    async def post(
        self, base: str, target: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> Answer:
        assert seconds > 0
        return await self[base.removeprefix("http://")].post(target, body, headers)


@dataclass(frozen=True)
class LocalFleet:
    """Clients of every service, and the wires between them."""

    generation: SmallGeneration
    config: GatewayConfig
    gateway: Client
    shards: list[Client]
    encoder: Client
    wires: Wires

    @property
    def clients(self) -> dict[str, Client]:
        return {"gateway": self.gateway, "shard": self.shards[0], "encoder": self.encoder}


def start_fleet(
    root: Path,
    generation: SmallGeneration,
    previous: SmallGeneration | None = None,
    count: int | None = None,
) -> LocalFleet:
    """Encoder, shards and gateway on one generation; shards and gateway hold ``previous`` too.

    There are ``count`` shards; by default as many as the generation has.
    """
    count = len(generation.manifest.shards) if count is None else count
    encoder_root = root / "encoder"
    encoder_root.mkdir()
    apps = {
        "encoder": create_encoder(make_config(encoder_root, generation.artefact), opener=Opener())
    }
    older = previous.directory if previous else None
    links = link(root / "shard", generation.directory, older)
    for shard in range(count):
        apps[f"shard-{shard}"] = create_shard(shard_config(links, shard))
    wires = Wires({name: Wire(app) for name, app in apps.items()})
    config = gateway_config(link(root / "gateway", generation.directory, older), count)
    gateway = create_gateway(config, Upstream(wires, fleet_of(config)))
    return LocalFleet(
        generation,
        config,
        Client(gateway),
        [Client(apps[f"shard-{shard}"]) for shard in range(count)],
        Client(apps["encoder"]),
        wires,
    )

"""API keys at the gateway: who is answered, and what a bad list says."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from asgi_client import Client
from local_fleet import start_fleet
from small_generations import build_small

from app.config import GatewayConfig
from app.errors import ConfigError
from app.gateway import create_app
from app.gateway.keys import ApiKeys

KEY = "a-key"
LINE = f"{hashlib.sha256(KEY.encode()).hexdigest()} somebody\n"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("keyed")
    fleet = start_fleet(root, build_small(root / "built"))
    (root / "api_keys").write_text("# sha256 and name\n" + LINE)
    edges = frozenset({"192.0.2.10"})
    config = replace(fleet.config, api_keys=root / "api_keys", edges=edges)
    return Client(create_app(config))


@pytest.mark.parametrize(
    ("path", "headers", "address", "status"),
    [
        ("/v1/search", {}, "192.0.2.1", 401),
        ("/process", {}, "192.0.2.1", 401),
        ("/v1/search", {"X-API-Key": "another"}, "192.0.2.1", 403),
        ("/v1/search", {"Authorization": f"bearer {KEY}"}, "192.0.2.1", 400),
        ("/v1/search", {"Askfleet-Canary": "1"}, "192.0.2.1", 401),
        ("/v1/search", {"Askfleet-Canary": "1"}, "192.0.2.10", 400),
        ("/v1/search", {"Askfleet-Canary": "1"}, "127.0.0.1", 400),
        ("/v1/search", {}, "127.0.0.1", 401),
        ("/health", {}, "192.0.2.1", 200),
        ("/readyz", {}, "192.0.2.1", 200),
    ],
)
def test_who_is_let_in(client, path, headers, address, status):
    """An empty body is 400 for whoever gets as far as that."""
    method = "POST" if status != 200 else "GET"
    answer = client.open(
        path, method=method, headers=headers, environ_base={"REMOTE_ADDR": address}
    )
    assert answer.status_code == status
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "no API key"), ("# none\n", "no API key"), (LINE + "x y\n", "line 2"), (None, "read")],
)
def test_a_list_that_cannot_be_used_is_refused(tmp_path: Path, text, told):
    path = tmp_path / "api_keys"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=told):
        ApiKeys.read(path)


def test_keys_come_as_a_credential(tmp_path: Path):
    environ = {
        "ASKFLEET_LINKS": "/srv",
        "ASKFLEET_ENCODER_URL": "http://127.0.0.1:1",
        "ASKFLEET_SHARD_URLS": "http://127.0.0.1:2",
        "ASKFLEET_EDGES": "192.0.2.10,192.0.2.11",
    }
    assert GatewayConfig.read(environ).api_keys is None
    environ["ASKFLEET_API_KEYS"] = "0123"
    with pytest.raises(ConfigError, match="CREDENTIALS_DIRECTORY"):
        GatewayConfig.read(environ)
    read = GatewayConfig.read({**environ, "CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert read.api_keys == tmp_path / "api_keys"
    assert read.edges == {"192.0.2.10", "192.0.2.11"}

"""A shard that other hosts call in TLS: a real process, links of the gateway, another certificate.

A caller from 127.0.0.2 is another host for it: the address is not the one that it is called by.
"""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPResponse, RemoteDisconnected
from pathlib import Path

import numpy as np
import pytest
from certificates import CA
from scraped import Scraped
from service_process import ServiceProcess, service
from small_generations import SmallGeneration, build_small, link

from app.gateway.link import Link
from app.tls import Identity, server_name
from app.wire import vectors_to_bytes
from app.wire.frames import Answer, Search, reply

OTHER = ("127.0.0.2", 0)
DAY = 86400


@pytest.fixture(scope="module")
def generation(tmp_path_factory: pytest.TempPathFactory) -> SmallGeneration:
    return build_small(tmp_path_factory.mktemp("generation"))


@pytest.fixture
def ca() -> CA:
    return CA()


@pytest.fixture
def gateway(ca: CA, tmp_path: Path) -> Identity:
    """Who the calling host is."""
    return Identity(ca.write(tmp_path / "gateway", "gateway"))


@pytest.fixture
def environ(ca: CA, generation: SmallGeneration, tmp_path: Path) -> dict[str, str]:
    return {
        "ASKFLEET_SHARD": "0",
        "ASKFLEET_LINKS": str(link(tmp_path / "links", generation.directory)),
        "ASKFLEET_DRAIN_FILE": str(tmp_path / "drain"),
        "ASKFLEET_TLS": "require",
        "ASKFLEET_TLS_DIR": str(ca.write(tmp_path / "shard", "shard", days=90)),
    }


@pytest.fixture
def shard(environ: dict[str, str], tmp_path: Path) -> Iterator[ServiceProcess]:
    with service("shard", environ, tmp_path) as process:
        process.ready()
        yield process
        assert "Traceback" not in process.log.read_text()


def status(port: int, identity: Identity | None) -> int:
    """Of /livez, asked from another host."""
    with ExitStack() as stack:
        sock: socket.socket = stack.enter_context(
            socket.create_connection(("127.0.0.1", port), 10, OTHER)
        )
        if identity is not None:
            named = server_name("shard")
            sock = stack.enter_context(identity.client().wrap_socket(sock, server_hostname=named))
        sock.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = HTTPResponse(sock)
        answer.begin()
        return answer.status


def test_another_host_is_answered_in_tls_alone(shard: ServiceProcess, gateway: Identity) -> None:
    assert shard.get("/livez") == 200  # its own host
    assert status(shard.port, gateway) == 200
    with pytest.raises((RemoteDisconnected, ConnectionResetError)):
        status(shard.port, None)


def test_a_link_asks_in_tls(
    shard: ServiceProcess, gateway: Identity, generation: SmallGeneration
) -> None:
    manifest = generation.manifest
    vectors = vectors_to_bytes(np.eye(2, manifest.model.dim, dtype=np.float32))

    async def ask(name: str) -> Answer:
        address = f"127.0.0.1:{shard.port}"
        made = await Link.connect(address, gateway.client(), 5.0, server_name(name))
        question = Search(manifest.id, manifest.model.fingerprint, 3, "", vectors)
        answers = await asyncio.gather(*(made.ask(question, 5.0) for _ in range(50)))
        made.close()
        first, *others = map(reply, answers)
        assert isinstance(first, Answer)
        assert others == [first] * 49
        return first

    assert len(json.loads(asyncio.run(ask("shard")).body)["results"]) == 2
    with pytest.raises(ssl.SSLCertVerificationError):
        asyncio.run(ask("encoder"))


def test_another_certificate_is_shown_without_a_restart(
    shard: ServiceProcess, gateway: Identity, ca: CA, tmp_path: Path
) -> None:
    def left() -> float:
        name = "askfleet_certificate_expires_timestamp_seconds"
        return Scraped.parse(_metrics(shard.port)).value(name) - time.time()

    assert 89 * DAY < left() < 91 * DAY
    another = CA("the next one")
    another.write(tmp_path / "shard", "shard", days=200, trusts=(ca,))
    assert 199 * DAY < left() < 201 * DAY
    with pytest.raises(ssl.SSLCertVerificationError):
        status(shard.port, gateway)
    both = Identity(ca.write(tmp_path / "gateway", "gateway", trusts=(another,)))
    assert status(shard.port, both) == 200


def _metrics(port: int) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_a_drained_one_that_loads_shakes_no_hands(
    environ: dict[str, str], gateway: Identity, tmp_path: Path
) -> None:
    """The close tells nginx and gateways at once to ask another replica."""
    (tmp_path / "drain").touch()
    with service("shard", environ, tmp_path) as process:
        begun = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011  # a reset, or an end in the middle of TLS
            status(process.port, gateway)
        assert time.monotonic() - begun < 5
        process.ready()
        assert status(process.port, gateway) == 200


@pytest.mark.parametrize(
    ("mode", "days", "told"),
    [("require", -1, "expired"), ("often", 90, "ASKFLEET_TLS='often' is none of none, allow")],
)
def test_what_proves_nothing_is_said_in_one_line(
    mode: str, days: int, told: str, environ: dict[str, str], ca: CA, tmp_path: Path
) -> None:
    ca.write(tmp_path / "shard", "shard", days=days)
    with service("shard", {**environ, "ASKFLEET_TLS": mode}, tmp_path) as process:
        assert process.exit_code() != 0
        assert told in process.log.read_text()
        assert "Traceback" not in process.log.read_text()

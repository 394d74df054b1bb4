"""Who a host is, and who may call it: real certificates, real sockets on loopback."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from certificates import CA

from app.config import TlsConfig
from app.errors import ConfigError
from app.service import acceptor
from app.service.acceptor import Acceptor
from app.tls import CA as CA_FILE
from app.tls import CERTIFICATE, KEY, Identity, identity, server_name

DAY = 86400
OWN, OTHER = "127.0.0.1", "127.0.0.2"  # as a caller's address: this host, and another


@pytest.fixture
def ca() -> CA:
    return CA()


@pytest.fixture
def files(ca: CA, tmp_path: Path) -> Path:
    return ca.write(tmp_path / "tls", "shard")


def test_an_identity_knows_when_it_ends(ca: CA, tmp_path: Path) -> None:
    found = Identity(ca.write(tmp_path / "tls", days=30)).expires()
    left = found - time.time()
    assert 29.9 * DAY < left < 30.1 * DAY


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda _, files: (files / KEY).unlink(), "No such file"),
        (lambda _, files: (files / CERTIFICATE).write_text("no certificate"), CERTIFICATE),
        (lambda ca, files: ca.write(files, days=-1), "expired"),
        (lambda _, files: (files / CA_FILE).write_bytes(CA("another").pem), "unable to get"),
        (
            lambda ca, files: (files / KEY).write_bytes(
                (ca.write(files.parent / "other") / KEY).read_bytes()
            ),
            "KEY_VALUES_MISMATCH",
        ),
    ],
    ids=["no key", "no certificate", "expired", "another CA", "another key"],
)
def test_files_that_prove_nothing_are_refused(
    spoil: Callable[[CA, Path], object], told: str, ca: CA, files: Path
) -> None:
    spoil(ca, files)
    with pytest.raises(ConfigError, match=told) as caught:
        Identity(files)
    assert "certificates.yml" in str(caught.value)


def test_a_renewed_certificate_is_read_and_a_bad_one_is_not(
    ca: CA, files: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = Identity(files)
    before, first = one.expires(), one.server()
    assert one.server() is first
    ca.write(files, days=700)
    assert one.expires() > before + 300 * DAY
    assert one.server() is not first
    kept = one.client()
    (files / CERTIFICATE).write_text("half of i")
    with caplog.at_level(logging.ERROR):
        assert one.client() is kept
        assert one.client() is kept
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    ca.write(files, days=900)
    assert one.client() is not kept


class _Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)  # type: ignore[attr-defined]  # a Transport


Client = Callable[..., Awaitable[str]]


def accepting(files: Path, mode: str, run: Callable[[Client], Awaitable[None]]) -> None:
    """Run a test against an acceptor; its client says what it got: echo, or why not."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            opened = Acceptor(listener, _Echo, TlsConfig(mode, files))

            async def client(source: str, context: ssl.SSLContext | None, name: str = "") -> str:
                try:
                    async with asyncio.timeout(5):
                        reader, writer = await asyncio.open_connection(
                            *listener.getsockname(),
                            ssl=context,
                            server_hostname=name or None,
                            local_addr=(source, 0),
                        )
                        writer.write(b"hello")
                        got = await reader.read(5)
                        writer.close()
                except (OSError, ssl.SSLError) as error:
                    return type(error).__name__
                return got.decode() or "closed"

            try:
                await run(client)
            finally:
                opened.close()

    identity.cache_clear()
    asyncio.run(main())


@pytest.mark.parametrize("mode", ["allow", "prefer"])
def test_while_hosts_change_over_both_are_taken(mode: str, files: Path) -> None:
    async def run(client: Client) -> None:
        assert await client(OTHER, None) == "hello"
        assert await client(OTHER, Identity(files).client(), server_name("shard")) == "hello"

    accepting(files, mode, run)


def test_then_another_host_needs_a_certificate(
    ca: CA, files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = CA("strangers").write(tmp_path / "stranger", "gateway", trusts=(ca,))
    anybody = ssl.create_default_context(cafile=files / CA_FILE)

    def others() -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=files / CA_FILE)
        context.load_cert_chain(stranger / CERTIFICATE, stranger / KEY)
        return context

    async def run(client: Client) -> None:
        own = Identity(files).client()
        assert await client(OTHER, own, server_name("shard")) == "hello"
        assert await client(OWN, own, server_name("shard")) == "hello"
        assert await client(OWN, None) == "hello"
        assert await client(OTHER, None) in {"closed", "ConnectionResetError"}
        assert await client(OTHER, anybody, server_name("shard")) in {"closed", "SSLError"}
        assert await client(OTHER, others(), server_name("shard")) in {"closed", "SSLError"}
        assert await client(OTHER, own, server_name("gateway")) == "SSLCertVerificationError"

    with caplog.at_level(logging.WARNING):
        accepting(files, "require", run)
    told = [record.getMessage() for record in caplog.records if OTHER in record.getMessage()]
    assert any("without TLS" in one for one in told)
    assert any("certificate" in one.lower() for one in told), told


def test_a_host_may_call_itself_by_its_address(files: Path) -> None:
    """As nginx beside a gateway asks a shard that is on the same host."""

    async def main() -> None:
        with socket.create_server((OTHER, 0)) as listener:
            opened = Acceptor(listener, _Echo, TlsConfig("require", files))
            reader, writer = await asyncio.open_connection(
                *listener.getsockname(), local_addr=(OTHER, 0)
            )
            writer.write(b"hello")
            assert await asyncio.wait_for(reader.read(5), 2) == b"hello"
            opened.close()

    identity.cache_clear()
    asyncio.run(main())


def test_who_says_nothing_keeps_nobody_waiting(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "PATIENCE", 0.3)

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            opened = Acceptor(listener, _Echo, TlsConfig("require", files))
            silent = [await asyncio.open_connection(*listener.getsockname()) for _ in range(20)]
            half, half_writer = await asyncio.open_connection(*listener.getsockname())
            half_writer.write(b"\x16\x03")  # a handshake that goes no further
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"hello")
            assert await asyncio.wait_for(reader.read(5), 2) == b"hello"
            for waiting in (half, *(one for one, _ in silent)):
                assert await asyncio.wait_for(waiting.read(), 5) == b""
            opened.close()
            assert not opened._taking

    identity.cache_clear()
    asyncio.run(main())


def test_without_a_free_descriptor_it_goes_on_later(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "PAUSE", 0.1)

    class Full(socket.socket):
        failures = 3

        def accept(self) -> tuple[socket.socket, object]:
            if self.failures:
                self.failures -= 1
                raise OSError(24, "Too many open files")
            return super().accept()

    async def main() -> None:
        with Full() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            opened = Acceptor(listener, _Echo, TlsConfig("require", files))
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"hello")
            assert await asyncio.wait_for(reader.read(5), 5) == b"hello"
            assert not listener.failures
            opened.close()

    identity.cache_clear()
    asyncio.run(main())

"""TLS between hosts: each side shows a certificate that the fleet's own CA has signed.

The files are made by the role ``internal_tls`` and replaced while services run. A change is found
when the next connection begins; connections that exist go on.
"""

from __future__ import annotations

import functools
import logging
import ssl
import time
from pathlib import Path

from app.errors import ConfigError

CA, CERTIFICATE, KEY = "ca.pem", "host.pem", "host.key"
RENEW = "ansible-playbook certificates.yml makes it anew"

log = logging.getLogger(__name__)


def server_name(kind: str) -> str:
    """The name in the certificate of a host that runs a kind of service (``encoder``, …)."""
    return f"{kind}.askfleet.internal"


class Identity:
    """Certificate, key and CA of this host, read anew when the files have changed.

    Args:
        directory: has ``ca.pem``, ``host.pem`` and ``host.key``.

    Raises: ConfigError where they do not prove who this host is.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stamp: tuple[tuple[int, int], ...] = ()
        self._server: ssl.SSLContext
        self._client: ssl.SSLContext
        self._expires = 0.0
        self._read()

    def expires(self) -> float:
        """When the certificate ends, in seconds since 1970."""
        self._refresh()
        return self._expires

    def server(self) -> ssl.SSLContext:
        """For a connection that was accepted."""
        self._refresh()
        return self._server

    def client(self) -> ssl.SSLContext:
        """For a connection that is opened to another host."""
        self._refresh()
        return self._client

    def _refresh(self) -> None:
        try:
            if self._stamped() != self._stamp:
                self._read()
                log.info("the certificate was read anew; it ends %s", _day(self._expires))
        except (OSError, ConfigError) as error:
            # What was read before is still right for who has it. One line for each new state.
            log.error("the certificate before stays in use: %s", error)

    def _stamped(self) -> tuple[tuple[int, int], ...]:
        found = [(self._directory / name).stat() for name in (CA, CERTIFICATE, KEY)]
        return tuple((one.st_mtime_ns, one.st_ino) for one in found)

    def _read(self) -> None:
        try:
            self._stamp = self._stamped()
            server = self._context(ssl.PROTOCOL_TLS_SERVER)
            client = self._context(ssl.PROTOCOL_TLS_CLIENT)
            client.check_hostname = False  # for the handshake with itself, below
            expires = _shaken(server, client)
        except OSError as error:  # ssl.SSLError is one
            why = getattr(error, "verify_message", "") or error.strerror or error
            raise ConfigError(f"{self._directory / CERTIFICATE}: {why}; {RENEW}") from error
        client.check_hostname = True
        self._server, self._client, self._expires = server, client, expires

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self._directory / CA)
        context.load_cert_chain(self._directory / CERTIFICATE, self._directory / KEY)
        if protocol == ssl.PROTOCOL_TLS_SERVER:
            context.num_tickets = 0  # every connection shows its certificate
        return context


@functools.cache
def identity(directory: Path) -> Identity:
    """The one of this process for a directory; raises ConfigError."""
    return Identity(directory)


def _shaken(server: ssl.SSLContext, client: ssl.SSLContext) -> float:
    """Shake hands with oneself in memory: the proof that others would; when the certificate ends.

    Raises: ssl.SSLError.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    asking = client.wrap_bio(to_client, to_server)
    waiting = [asking, answering]
    while waiting:
        for side in tuple(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    certificate = asking.getpeercert()
    assert certificate  # noqa: S101  # for the types: a verified one has been shown
    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))


def _day(when: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(when))

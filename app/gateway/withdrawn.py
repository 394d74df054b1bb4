"""Gateways and shards tell each other what is withdrawn, so that a host that was away learns it.

A gateway asks every shard replica for its list, adds what it did not know, and gives back what the
replica did not know. So what one host knows, all know a moment later, and they need no way to each
other but the one that questions take.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException

from app.generation.withdrawn import Withdrawn, parse
from app.service.withdrawn import Known
from app.tls import Identity, server_name
from app.wire import WITHDRAWN_PATH

# How long a replica may take, and how often it is asked, in seconds.
PATIENCE = 1.0
INTERVAL = 2.0
AT_ONCE = 16

log = logging.getLogger(__name__)


class Exchange:
    """Keeps the lists of a gateway and of all shard replicas the same.

    Args:
        known: the gateway's.
        addresses: host:port of every replica; without any, there is nobody to ask.
        identity: who this host is, where shards are asked in TLS; None for plain.
        informed: is called when the first replica has told what it knows, or at once where there
            is none to ask: before that, a gateway does not know what it may answer with.
    """

    def __init__(
        self,
        known: Known,
        addresses: Sequence[str],
        identity: Identity | None,
        informed: Callable[[], None],
    ) -> None:
        self._known = known
        self._identity = identity
        self._informed: Callable[[], None] | None = informed
        self._addresses = addresses
        self._pool = ThreadPoolExecutor(min(max(len(addresses), 1), AT_ONCE), "withdrawn")
        self._connections: dict[str, HTTPConnection] = {}
        self._due = 0.0

    def due(self) -> None:
        """Ask, where it is time to."""
        now = time.monotonic()
        if self._informed is None and now < self._due:
            return
        self._due = now + INTERVAL
        self.once()

    def once(self) -> None:
        """Hear every replica, then tell those that know less; side by side."""
        digests = list(self._pool.map(self._hear, self._addresses))
        ours = self._known.list
        behind = [
            address
            for address, digest in zip(self._addresses, digests, strict=True)
            if digest not in (None, ours.digest)
        ]
        for _ in self._pool.map(lambda address: self._tell(address, ours), behind):
            pass
        heard = any(digest is not None for digest in digests)
        if self._informed is not None and (heard or not digests):
            self._informed()
            self._informed = None

    def _hear(self, address: str) -> str | None:
        """The digest of what a replica knows, which is known here now; None where it is silent."""
        ours = self._known.list
        try:
            status, body = self._send(address, "GET", f"{WITHDRAWN_PATH}?have={ours.digest}", None)
            if status == 204:
                return ours.digest
            if status == 404:  # a release from before there were lists
                return ""
            if status != 200:
                raise ValueError(f"it answers {status}")
            theirs = parse(body)
        except (OSError, HTTPException, ValueError) as error:
            self._drop(address, error)
            return None
        self._known.hear(theirs)
        return theirs.digest

    def _tell(self, address: str, ours: Withdrawn) -> None:
        try:
            self._send(address, "POST", WITHDRAWN_PATH, ours.rendered())
        except (OSError, HTTPException) as error:
            self._drop(address, error)

    def _drop(self, address: str, error: Exception) -> None:
        log.info("%s does not tell what is withdrawn: %s", address, error)
        connection = self._connections.pop(address, None)
        if connection is not None:
            connection.close()

    def _send(
        self, address: str, method: str, target: str, body: bytes | None
    ) -> tuple[int, bytes]:
        connection = self._connections.get(address) or self._connect(address)
        self._connections[address] = connection
        connection.request(method, target, body)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def _connect(self, address: str) -> HTTPConnection:
        host, _, port = address.rpartition(":")
        connection = HTTPConnection(host.strip("[]"), int(port), timeout=PATIENCE)
        plain = socket.create_connection((host.strip("[]"), int(port)), PATIENCE)
        try:
            connection.sock = (
                self._identity.client().wrap_socket(plain, server_hostname=server_name("shard"))
                if self._identity
                else plain
            )
        except OSError:
            plain.close()
            raise
        return connection

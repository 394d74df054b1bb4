"""Gateways and shards tell each other what is withdrawn, so that a host that was away learns it.

A gateway asks every shard replica for its list, adds what it did not know, and gives back what the
replica did not know. So what one host knows, all know a moment later, and they need no way to each
other but the one that questions take.

It finds out, too, whether a shard may still answer by an older list: what is remembered of such
answers would lack a document that is back.
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

# How long a replica may say nothing, and how often it is asked, in seconds. A gateway that has not
# heard any yet waits twice as long each time, up to so long.
PATIENCE = 1.0
LONGEST = 16.0
INTERVAL = 2.0
# So many bytes of a list a replica reads, judges and applies in a second, at least.
PACE = 1 << 20
AT_ONCE = 16
# Of a replica that takes connections, and may answer questions, but does not tell its list.
UNTOLD = "untold"

log = logging.getLogger(__name__)


class _GoneError(OSError):
    """Nobody takes a connection, or whoever had taken it has ended it."""


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
        self._before: list[str | None] = [None] * len(addresses)
        self._patience = PATIENCE
        self._refused: dict[str, str] = {}
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
            if digest not in (None, UNTOLD, ours.digest)
        ]
        self._compare(ours, digests)
        for _ in self._pool.map(lambda address: self._tell(address, ours), behind):
            pass
        heard = any(digest not in (None, UNTOLD) for digest in digests)
        if self._informed is None:
            return
        if heard or not digests:
            self._informed()
            self._informed = None
            self._patience = PATIENCE
        else:
            self._patience = min(2 * self._patience, LONGEST)

    def _compare(self, ours: Withdrawn, digests: list[str | None]) -> None:
        """Let answers be remembered while all that may answer a question go by our list.

        Who takes no connection answers no question. When it is back it may have been started anew,
        with an older list: what has been remembered since then may be wrong, whatever it says now.
        A start ends the connection to it, so none goes unseen.
        """
        back = any(
            before is None and digest is not None
            for before, digest in zip(self._before, digests, strict=True)
        )
        self._before = digests
        if ours.entries:
            told = set(digests) - {None}
            self._known.agree(ours, agreed=told == {ours.digest}, anew=back)

    def _hear(self, address: str) -> str | None:
        """The digest of what a replica knows, which is known here now.

        ``UNTOLD`` where it takes a connection and does not tell; None where it takes none, or ends
        the one that there was.
        """
        ours = self._known.list
        try:
            target = f"{WITHDRAWN_PATH}?have={ours.digest}"
            status, body = self._send(address, "GET", target, None, self._patience)
            if status == 204:
                return ours.digest
            if status == 404:  # a release from before there were lists
                return ""
            if status != 200:
                raise ValueError(f"it answers {status}")
            theirs = parse(body)
        except (OSError, HTTPException, ValueError) as error:
            self._drop(address, error)
            return None if isinstance(error, _GoneError) else UNTOLD
        self._known.hear(theirs)
        return theirs.digest

    def _tell(self, address: str, ours: Withdrawn) -> None:
        if ours.excess:
            self._say(address, ours.excess)
            return
        patience = PATIENCE + len(ours.content) / PACE
        try:
            status, body = self._send(address, "POST", WITHDRAWN_PATH, ours.content, patience)
        except (OSError, HTTPException) as error:
            self._drop(address, error)
            return
        refused = status != 204
        self._say(address, f"{status} {body[:200].decode('utf-8', 'replace')}" if refused else "")

    def _say(self, address: str, refused: str) -> None:
        """Log why a replica is not told what is withdrawn, once."""
        if refused and self._refused.get(address) != refused:
            log.warning("%s is not told what is withdrawn: %s", address, refused)
        self._refused[address] = refused

    def _drop(self, address: str, error: Exception) -> None:
        log.info("%s does not tell what is withdrawn: %s", address, error)
        connection = self._connections.pop(address, None)
        if connection is not None:
            connection.close()

    def _send(
        self, address: str, method: str, target: str, body: bytes | None, patience: float
    ) -> tuple[int, bytes]:
        """Status and body; ``patience`` is for each thing that the replica says, in seconds."""
        kept = self._connections.get(address)
        if kept is not None and kept.sock is None:  # it had said that it would end it
            del self._connections[address]
            kept = None
            if body is None:
                raise _GoneError("it has ended the connection")
        connection = self._connections[address] = kept or self._connect(address)
        connection.sock.settimeout(patience)
        try:
            connection.request(method, target, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except ConnectionError as error:
            if kept:
                raise _GoneError(str(error)) from error
            raise

    def _connect(self, address: str) -> HTTPConnection:
        host, _, port = address.rpartition(":")
        connection = HTTPConnection(host.strip("[]"), int(port), timeout=PATIENCE)
        try:
            plain = socket.create_connection((host.strip("[]"), int(port)), PATIENCE)
        except OSError as error:
            raise _GoneError(str(error)) from error
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

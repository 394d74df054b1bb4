"""The replicas of one pool, each over a link of its own: the short way of short questions.

Here the question goes to the replica with the fewest under way. Whatever does not go well on this
way (nobody linked, drained, not loaded) is left to the pools, by NoLinkError: there nginx has all
the patience that a fleet in trouble needs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from app.gateway.call import DEADLINE, Call, UpstreamError, spent
from app.gateway.link import Link
from app.tls import Identity, server_name
from app.wire.frames import Answer, FrameError, Question, Refusal, reply

# A new link, from the first packet to the switch. A service that restarts lets callers wait for it.
CONNECT_SECONDS = 5.0
# A replica that failed is left alone for so long, as nginx leaves it.
OUT_SECONDS = 2.0

log = logging.getLogger(__name__)


class NoLinkError(UpstreamError):
    """No linked replica answers; the pool has not been asked."""


class Replica:
    """One replica: its link, which is made beside the questions and never waited for."""

    def __init__(self, address: str, kind: str, identity: Identity | None) -> None:
        self.address = address
        self.slots = 1
        self._identity = identity
        self._server_name = server_name(kind) if identity else None
        self._link: Link | None = None
        self._out_until = 0.0
        self._connecting: asyncio.Task[None] | None = None

    @property
    def link(self) -> Link | None:
        """Its link, where it may be asked now."""
        if self._link is None or not self._link.usable or time.monotonic() < self._out_until:
            return None
        return self._link

    def begin(self) -> None:
        """Begin a link, where it has none and is not left alone."""
        lost = self._link is None or not self._link.usable
        if lost and self._connecting is None and time.monotonic() >= self._out_until:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def leave(self, why: str) -> None:
        """Leave it alone for a while."""
        log.info("%s is left alone for %.0f s: %s", self.address, OUT_SECONDS, why)
        self._out_until = time.monotonic() + OUT_SECONDS

    def drop(self, why: str) -> None:
        """Leave it alone, and what is under way to it."""
        self.leave(why)
        if self._link is not None:
            self._link.close()
            self._link = None

    async def _connect(self) -> None:
        try:
            if self._link is not None:
                self._link.close()
                self._link = None
            tls = self._identity.client() if self._identity else None
            self._link = await Link.connect(self.address, tls, CONNECT_SECONDS, self._server_name)
            log.info("%s is linked", self.address)
        except (OSError, ValueError) as error:
            self.leave(f"no link: {type(error).__name__} {error}")
        finally:
            self._connecting = None


class Replicas:
    """Asks one pool's replicas.

    Args:
        name: of the service, for the log.
        addresses: host:port of each replica; without any, every question goes by the pool.
        patience: how long one of several replicas may say nothing, in seconds.
        identity: who this host is, where links are encrypted.
    """

    def __init__(
        self,
        name: str,
        addresses: Sequence[str],
        patience: float,
        identity: Identity | None = None,
    ) -> None:
        self._name = name
        kind = name.partition("-")[0]
        self._replicas = [Replica(address, kind, identity) for address in addresses]
        self._patience = patience
        self._turn = 0
        self.answered = 0
        """Requests that a replica answered over its link."""
        self.left_to_pool = 0
        """Requests that found no answer so."""

    @property
    def count(self) -> int:
        """How many replicas there are."""
        return len(self._replicas)

    def linked(self) -> int:
        """How many may be asked now."""
        return sum(one.link is not None for one in self._replicas)

    def at_once(self) -> int:
        """How many requests the linked ones work on at one time; 0 where none is."""
        return sum(one.slots for one in self._replicas if one.link is not None)

    async def ask(self, question: Callable[[float], Question], call: Call) -> Answer:
        """The answer of one replica; ``question`` is told how many seconds are left.

        Raises: NoLinkError when the pool is to be asked; UpstreamError when that is of no use;
            ProblemError 504 when time is up.
        """
        tried: list[Replica] = []
        self._turn += 1
        for replica in self._replicas:
            replica.begin()
        while (chosen := self._choose(tried)) is not None:
            replica, link = chosen
            tried.append(replica)
            left = call.left()
            patience = min(left, self._patience) if self.count > 1 else left
            try:
                told = reply(await link.ask(question(left), patience))
            except TimeoutError as error:
                if call.is_over():
                    raise spent() from error
                replica.drop(f"said nothing for {patience:.1f} s")
                continue
            except (OSError, FrameError) as error:
                replica.drop(str(error))
                continue
            if isinstance(told, Answer):
                replica.slots = max(told.slots, 1)
                self.answered += 1
                call.asked.append(f"{self._name}={replica.address}")
                return told
            self._refused(replica, told)
        self.left_to_pool += 1
        raise NoLinkError(f"{self._name}: no linked replica answers")

    def _refused(self, replica: Replica, told: Refusal) -> None:
        """Go on to the next replica, or raise where another would say the same."""
        if told.status == 504 or told.code == DEADLINE:
            raise spent()
        if told.status >= 500:
            replica.leave(f"{told.status} {told.code}")
        elif told.status != 409:  # it lacks what another may have loaded
            raise UpstreamError(f"{self._name}: {told.status} {told.code}")

    def _choose(self, tried: Sequence[Replica]) -> tuple[Replica, Link] | None:
        """The linked replica with the fewest questions under way; of several the next in turn."""
        best: tuple[Replica, Link] | None = None
        for place in range(self.count):
            replica = self._replicas[(self._turn + place) % self.count]
            link = None if replica in tried else replica.link
            if link is not None and (best is None or link.under_way < best[1].under_way):
                best = (replica, link)
        return best

"""A gateway leaves out what a shard that is behind still sends, and remembers nothing of it.

Nor does it remember what such a shard does not send yet.
"""

import asyncio
from typing import Any

import numpy as np
import pytest
from asgi_client import Blocking
from test_gateway_search import FOUR, FakeFleet, call, hit, ids, manifest_of

from app.gateway.body import SearchRequest
from app.gateway.search import Searcher
from app.gateway.upstream import Candidates
from app.generation.routing import Router
from app.service.withdrawn import Now

ALL = SearchRequest(("west",), probe="all")


class Fixture:
    """A searcher whose shards know of no withdrawal."""

    def __init__(self) -> None:
        self.now = Now()
        self.fleet = FakeFleet(FOUR, [[0], [1], [2], [3]])
        router = Router(
            FOUR, np.arange(4, dtype=np.int32), 4, temperature=0.01, neighbours=64, threshold=0.5
        )
        searcher = Searcher(manifest_of(4), router, self.fleet, now=lambda: self.now)
        self.remembered = searcher.remembered
        self.searcher: Any = Blocking(searcher)

    def withdraw(self, *ids: str, agreed: bool = True) -> None:
        self.now = Now(frozenset(ids), agreed)

    def found(self, wanted: SearchRequest = ALL) -> list[list[str]]:
        return ids(self.searcher.search(wanted, call(), remember=True))


@pytest.fixture
def gateway() -> Fixture:
    return Fixture()


def test_what_a_shard_still_sends_is_left_out(gateway: Fixture) -> None:
    assert len(gateway.found()[0]) == 4
    gateway.withdraw("d3", "d1")
    assert sorted(gateway.found()[0]) == ["d0", "d2"]
    gateway.withdraw("d0", "d1", "d2", "d3")
    result = gateway.searcher.search(ALL, call())
    assert ids(result) == [[]]
    assert result.queries[0].match(0.0) is None
    gateway.withdraw()
    assert len(gateway.found()[0]) == 4


def test_what_is_remembered_is_forgotten(gateway: Fixture) -> None:
    gateway.found()
    gateway.found()
    assert len(gateway.fleet.asked) == 4, "the second time from memory"
    gateway.withdraw("d3", agreed=False)
    assert "d3" not in gateway.found()[0]
    assert "d3" not in gateway.found()[0]
    assert len(gateway.fleet.asked) == 12
    assert gateway.remembered.statistics()["entries"] == 0, "a shard may be behind"
    gateway.withdraw("d3")
    gateway.found()
    gateway.found()
    assert len(gateway.fleet.asked) == 16, "and what is without it is remembered again"


def test_an_answer_that_lacks_what_is_back_is_not_remembered(gateway: Fixture) -> None:
    """The shard of d3 has not heard of the undo: it sends nothing that shows that."""
    gateway.withdraw("d3")
    gateway.fleet.held[3] = []
    assert "d3" not in gateway.found()[0]
    gateway.withdraw(agreed=False)
    assert "d3" not in gateway.found()[0]
    gateway.fleet.held[3] = [3]
    assert "d3" in gateway.found()[0]


def test_what_was_remembered_while_a_shard_was_behind_is_forgotten(gateway: Fixture) -> None:
    """The shard was started anew, with an older list, and nobody knew."""
    gateway.withdraw()
    gateway.fleet.held[3] = []
    assert "d3" not in gateway.found()[0]
    gateway.fleet.held[3] = [3]
    gateway.withdraw()
    assert "d3" in gateway.found()[0]


def test_a_withdrawal_meets_what_is_under_way(gateway: Fixture) -> None:
    """A question from memory waits for one that is not; meanwhile its answer is withdrawn."""
    assert gateway.found(SearchRequest(("north",), probe="all"))[0][0] == "d0"
    search = gateway.fleet.search

    async def late(shard: int, *asked: Any) -> list[Candidates]:
        found = await search(shard, *asked)
        await asyncio.sleep(0.01)
        gateway.withdraw("d0")
        return found

    gateway.fleet.search = late  # type: ignore[method-assign]  # a fake, for this test alone
    both = gateway.found(SearchRequest(("north", "west"), probe="all"))
    assert [len(one) for one in both] == [3, 3]
    assert not any("d0" in one for one in both)
    gateway.fleet.search = search  # type: ignore[method-assign]  # as it was
    asked = len(gateway.fleet.asked)
    gateway.found(SearchRequest(("west",), probe="all"))
    assert len(gateway.fleet.asked) == asked + 4, "an answer of that moment is not remembered"


def test_nothing_withdrawn_costs_no_copy(gateway: Fixture) -> None:
    """The lists of hits are those that the shards sent."""
    sent = Candidates([hit(0, 0.5)])

    async def search(*_: Any) -> list[Candidates]:
        return [sent]

    gateway.fleet.search = search  # type: ignore[method-assign]  # a fake, for this test alone
    gateway.withdraw("nobody")
    result = gateway.searcher.search(ALL, call())
    assert result.queries[0].hits[0] is sent.hits[0]

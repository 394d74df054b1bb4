"""A list of any length keeps no question waiting: neither the event loop nor a search thread."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.errors import ProblemError
from app.generation.withdrawn import MAX_LIST, NOTHING, Withdrawn, parse
from app.service.withdrawn import Known
from app.shard import withdrawn
from app.shard.withdrawn import routes_of

OUT = NOTHING.changed(["a", "b"], "2026-11-26T12:00:00Z", "root@one")


class Asked:
    def __init__(self, body: bytes = b"", **args: str) -> None:
        self.sent, self.given, self.limit = body, args, 0

    def args(self) -> dict[str, str]:
        return self.given

    async def body(self, limit: int) -> bytes:
        self.limit = limit
        return self.sent


@pytest.fixture
def known(tmp_path: Path) -> Known:
    return Known(tmp_path / "shard")


def routes(known: Known, found: Callable[[], list[str]] = list) -> Any:
    return routes_of(known, found)


def test_the_list_is_told_as_it_was_made_once(known: Known) -> None:
    known.hear(OUT)
    tell = routes(known)["GET"]
    answer = asyncio.run(tell(Asked(have="")))
    assert answer.body is known.list.content
    assert asyncio.run(tell(Asked(have=OUT.digest))).status == 204


def test_reading_and_looking_up_holds_nobody(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set()

    def slow(body: bytes) -> Withdrawn:
        threads.add(threading.current_thread().name)
        time.sleep(0.3)
        return parse(body)

    def found() -> list[str]:
        threads.add(threading.current_thread().name)
        return ["b", "a"]

    monkeypatch.setattr(withdrawn, "parse", slow)
    those = routes(known, found)

    async def ticks() -> int:
        asked = Asked(OUT.content)
        hearing = asyncio.ensure_future(those["POST"](asked))
        count = 0
        while not hearing.done():
            await asyncio.sleep(0.01)
            count += 1
        assert (await hearing).status == 204
        assert asked.limit == MAX_LIST << 20
        assert (await those["GET"](Asked(found="1"))).body == b'["a","b"]\n'
        return count

    assert asyncio.run(ticks()) > 10
    assert known.ids == {"a", "b"}
    assert all(name.startswith("lists") for name in threads)


def test_a_damaged_list_is_refused(known: Known) -> None:
    with pytest.raises(ProblemError, match="the list is damaged"):
        asyncio.run(routes(known)["POST"](Asked(OUT.content[:-4])))


def test_a_list_that_another_gateway_has_told_is_not_read_again(
    known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    known.hear(OUT)
    monkeypatch.delattr(withdrawn, "parse")
    assert asyncio.run(routes(known)["POST"](Asked(OUT.content))).status == 204

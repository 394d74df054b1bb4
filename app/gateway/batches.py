"""What waits for the same pool is sent to it in one request: natural batching, without a timer.

While as many requests are under way as the pool works on at one time, what comes is collected; the
moment one of them ends, what has come goes out together. Who comes alone goes alone, and at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.errors import ProblemError
from app.gateway.call import Call, NobodyError, UpstreamError, spent
from app.service.logs import request_id
from app.wire import REQUEST_ID_HEADER

K = TypeVar("K")
Q = TypeVar("Q")
A = TypeVar("A")
# Of one request together: texts or vectors, and bytes of text.
MAX_ITEMS = 16
MAX_BYTES = 4096

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Member(Generic[Q, A]):
    """One question of a batch: what it asks, how much that is, and who waits for the answer."""

    asked: Q
    items: int
    size: int
    call: Call
    answer: asyncio.Future[A]

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Batches(Generic[K, Q, A]):
    """The batches of one pool; only questions of the same key go together.

    A batch that fails must not fail its innocent members: each is asked for alone after that, but
    where nobody could answer any of them.

    Args:
        send: sends what is asked in one request, and returns an answer for each.
        limit: how many requests may be under way.
    """

    def __init__(
        self,
        send: Callable[[K, Sequence[Q], Call], Awaitable[Sequence[A]]],
        limit: Callable[[], int],
    ) -> None:
        self._send = send
        self._limit = limit
        self._waiting: dict[K, deque[_Member[Q, A]]] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._scheduled = False

    def ask(self, key: K, asked: Q, items: int, size: int, call: Call) -> asyncio.Future[A]:
        """The answer to one question, which has its own deadline whatever it is sent with.

        A future, not a coroutine: a task for each shard of each question would cost as much as
        sending it.

        Args:
            key: what must be the same for all of a batch.
            asked: the question.
            items: how many texts or vectors it has.
            size: of its texts, in bytes.
            call: its deadline and headers.

        The future has what ``send`` raises, or ProblemError 504 when its time is up.
        """
        loop = asyncio.get_running_loop()
        member = _Member(asked, items, size, call, loop.create_future())
        left = call.ends - time.monotonic()
        if left <= 0:
            member.fail(spent())
            return member.answer
        ends = loop.call_later(left, member.fail, spent())
        member.answer.add_done_callback(lambda _: ends.cancel())
        self._waiting.setdefault(key, deque()).append(member)
        if not self._scheduled:  # what comes in the same turn of the loop goes together
            self._scheduled = True
            loop.call_soon(self._start)
        return member.answer

    def _start(self) -> None:
        self._scheduled = False
        while self._waiting and len(self._under_way) < self._limit():
            key, batch = self._take()
            if batch:
                task = asyncio.get_running_loop().create_task(self._run(key, batch))
                self._under_way.add(task)
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._start()

    def _take(self) -> tuple[K, list[_Member[Q, A]]]:
        """The next batch, of the key that has waited longest; nobody in it has given up."""
        key = next(iter(self._waiting))
        batch: list[_Member[Q, A]] = []
        waiting, items, size = self._waiting.pop(key), 0, 0
        while waiting:
            member = waiting[0]
            if not member.answer.done():
                items, size = items + member.items, size + member.size
                if batch and (items > MAX_ITEMS or size > MAX_BYTES):
                    self._waiting[key] = waiting  # behind the other keys
                    break
                batch.append(member)
            waiting.popleft()
        return key, batch

    async def _run(self, key: K, batch: list[_Member[Q, A]]) -> None:
        call = _together([member.call for member in batch])
        request_id.set(call.headers.get(REQUEST_ID_HEADER, ""))
        try:
            answers = await self._send(key, [member.asked for member in batch], call)
            for member, answer in zip(batch, answers, strict=True):
                if member.call is not call:
                    member.call.asked.extend(call.asked)
                if not member.answer.done():
                    member.answer.set_result(answer)
        except (NobodyError, ProblemError) as error:
            for member in batch:
                member.fail(error)
        except UpstreamError as error:
            if len(batch) == 1:
                batch[0].fail(error)
            else:
                log.info("asked one by one: %s", error)
                await asyncio.gather(*(self._run(key, [member]) for member in batch))
        except Exception as error:  # whatever it is, who waits has to know
            for member in batch:
                member.fail(error)


def _together(calls: Sequence[Call]) -> Call:
    """One call for all: it may take as long as the last of them may, and names every one."""
    if len(calls) == 1:
        return calls[0]
    ids = dict.fromkeys(call.headers.get(REQUEST_ID_HEADER, "") for call in calls)
    ends = max(call.ends for call in calls)
    return Call(ends, {**calls[0].headers, REQUEST_ID_HEADER: ",".join(filter(None, ids))})

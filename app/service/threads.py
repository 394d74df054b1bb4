"""Work that would hold the event loop, done in threads beside it."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Threads:
    """A bounded number of threads; more work waits its turn.

    Args:
        count: how many.
        name: theirs, for who looks at the process.
    """

    def __init__(self, count: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def run(self, call: Callable[[], T]) -> T:
        """Call it in a thread, with the request id of this request for its logs.

        Cancelled before its turn, it is not called.
        """
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._pool, context.run, call)

"""More requests than the fleet can take, at a rate that does not wait for the answers."""

import asyncio
import json
import time
from collections import Counter
from itertools import count
from uuid import uuid4

from lab_plays import PORT

MOST = 400  # requests that wait for an answer at one time; more arrivals are counted as not sent
HEAD = b"POST /process?cache=0 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


class Flood:
    """Questions at a rate.

    Attributes:
        statuses: answers by status; 0 where there was none.
        waits: of the answers with status 200, seconds.
        bare: refusals (429, 503) without Retry-After.
    """

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.waits: list[float] = []
        self.bare = 0
        self._name = uuid4().hex  # nobody remembers its questions
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    def run(self, seconds: float, *, rate: float = 0.0, clients: int = 0) -> "Flood":
        """Ask at a rate (1/s), or as so many clients of which each waits for its answer."""
        asyncio.run(self._run(seconds, rate, clients))
        return self

    @property
    def p99(self) -> float:
        """99 of 100 answers did not take longer, seconds."""
        return sorted(self.waits)[len(self.waits) * 99 // 100]

    async def _run(self, seconds: float, rate: float, clients: int) -> None:
        ends, numbers = time.monotonic() + seconds, count()

        async def client() -> None:
            while time.monotonic() < ends:
                await self._ask(next(numbers))

        async def arrivals() -> None:
            start, pending = time.monotonic(), set()
            for number in numbers:
                await asyncio.sleep(max(start + number / rate - time.monotonic(), 0.0))
                if time.monotonic() > ends:
                    break
                if len(pending) < MOST:
                    task = asyncio.create_task(self._ask(number))
                    pending.add(task)
                    task.add_done_callback(pending.discard)
            await asyncio.gather(*pending)

        await asyncio.gather(*(client() for _ in range(clients)) if clients else [arrivals()])
        for _, writer in self._free:
            writer.close()

    async def _ask(self, number: int) -> None:
        body = json.dumps({"instances": [f"question {number} of {self._name}?"]}).encode()
        start, status, head = time.monotonic(), 0, b""
        try:
            reader, writer = self._free.pop() if self._free else await self._connect()
            writer.write(
                b"POST /process?cache=0 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                % len(body)
                + body
            )
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            await reader.readexactly(length)
            status = int(head.split()[1])
            self._free.append((reader, writer))
        except (OSError, ValueError, asyncio.IncompleteReadError, TimeoutError):
            pass
        self.statuses[status] += 1
        if status == 200:
            self.waits.append(time.monotonic() - start)
        elif status in (429, 503) and b"retry-after:" not in head.lower():
            self.bare += 1

    @staticmethod
    async def _connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", PORT)

"""A shard's route for lists of withdrawn documents: a gateway asks for its own, and adds another.

Its caller is a gateway, as of ``/search``: nobody else reaches a shard (SECURITY.md).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from app.errors import ProblemError
from app.generation.withdrawn import MAX_LIST, parse
from app.service.request import Answer, Request, json_answer
from app.service.threads import Threads
from app.service.withdrawn import Known

LINES = "application/jsonl"


def routes_of(
    known: Known, found: Callable[[], Iterable[str]]
) -> dict[str, Callable[[Request], Awaitable[Answer]]]:
    """Who answers which method; ``found`` are the withdrawn documents that this shard has.

    A list of 100,000 takes a second to read: no question waits for that, nor for a thread.
    """
    threads = Threads(1, "lists")

    async def tell(request: Request) -> Answer:
        """The list; 204 where the caller has the same. With ``found``, the ids that are here."""
        if "found" in request.args():
            return json_answer(await threads.run(lambda: sorted(found())))
        if request.args().get("have") == known.list.digest:
            return Answer(b"", 204, LINES)
        return Answer(known.list.content, content_type=LINES)

    async def hear(request: Request) -> Answer:
        """Add the caller's list; it is applied when this is answered."""
        body = await request.body(MAX_LIST << 20)
        await threads.run(lambda: add(body))
        return Answer(b"", 204, LINES)

    def add(body: bytes) -> None:
        if body == known.list.content:  # another gateway was first
            return
        try:
            other = parse(body)
        except ValueError as error:
            raise ProblemError(400, "bad_withdrawn", f"the list is damaged: {error}") from error
        known.hear(other)

    return {"GET": tell, "POST": hear}

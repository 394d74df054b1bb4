"""Ask a gateway the same questions of two generations, and say what it answers from each.

A gateway holds the generation that its link names and the one that a change brings, so both can be
asked before any user is. Questions come on standard input and answers leave on standard output:
nothing of either is written on the host.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import msgspec
import requests

from app.wire import CANARY_HEADER, GENERATION_HEADER
from app.wire.preview import CHARACTERS, SHOWN, Found, K, Pair, Side


class _Query(msgspec.Struct):
    results: list[Found]
    match: str | None
    partial: bool
    shards_asked: list[int]
    confidence: float | None = None


class _Answer(msgspec.Struct):
    generation: str
    queries: list[_Query]


def run_preview(
    url: str, before: str, after: str, questions: Sequence[str], timeout: float
) -> Iterator[Pair]:
    """Ask each question of both generations, one after the other, on one connection.

    The two generations take turns, for who is asked first waits longer: the encoder may remember
    the question. The first question is asked twice, and timed the second time: what is loaded and
    connected for it is not part of an answer.

    Args:
        url: a gateway's base URL.
        before: the id of a generation that the gateway holds, the one that users are asking.
        after: the id of the other one.
        questions: texts.
        timeout: seconds that each may take.
    """
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update({"Content-Type": "application/json", CANARY_HEADER: "1"})
        for generation in (before, after) if questions else ():
            _side(session, url, generation, questions[0], timeout)
        for place, question in enumerate(questions):
            order = (before, after) if place % 2 == 0 else (after, before)
            sides = {one: _side(session, url, one, question, timeout) for one in order}
            yield Pair(question, sides[before], sides[after])


def _side(
    session: requests.Session, url: str, generation: str, question: str, timeout: float
) -> Side:
    begun = time.monotonic()
    try:
        response = session.post(
            f"{url}/v1/search",
            data=msgspec.json.encode({"queries": [question], "k": K}),
            headers={GENERATION_HEADER: generation},
            timeout=timeout,
        )
    except requests.RequestException as error:
        return Side(error=type(error).__name__)
    ms = round((time.monotonic() - begun) * 1e3, 2)
    if response.status_code != 200:
        return Side(ms=ms, error=f"{response.status_code} {_code(response.content)}".rstrip())
    try:
        answer = msgspec.json.decode(response.content, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Side(ms=ms, error="unreadable answer")
    if answer.generation != generation:
        return Side(ms=ms, error=f"answered by {answer.generation}")
    query = answer.queries[0]
    return Side(
        [_cut(place, found) for place, found in enumerate(query.results)],
        query.match,
        query.confidence,
        query.partial,
        query.shards_asked,
        ms,
    )


def _code(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body)["code"])
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return ""


def _cut(place: int, found: Found) -> Found:
    if place >= SHOWN:
        return Found(found.id, found.score)
    answer = found.answer and found.answer[:CHARACTERS]
    return Found(found.id, found.score, found.text[:CHARACTERS], answer, found.metadata)

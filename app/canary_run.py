"""Ask a running fleet the canaries of a generation."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import requests

from app.errors import GenerationError
from app.generation import canary
from app.generation.canary import Canary
from app.generation.manifest import Manifest
from app.wire import CANARY_HEADER, GENERATION_HEADER


class _Result(msgspec.Struct):
    id: str
    score: float
    lexical: float | None = None


class _Query(msgspec.Struct):
    results: list[_Result]
    partial: bool


class _Answer(msgspec.Struct):
    generation: str
    queries: list[_Query]


def run_canaries(url: str, directory: Path, timeout: float, *, pin: bool = False) -> int:
    """Ask every canary of the generation in ``directory`` through ``url``, on one connection.

    With ``pin`` a gateway answers from this generation whatever its link names.

    Returns: how many were asked.
    Raises: GenerationError naming the first that is not answered by this generation, wholly, and
        with the ids and scores that it must have.
    """
    manifest = Manifest.load(directory)
    canaries = canary.read(directory / canary.NAME)
    ends = time.monotonic() + timeout
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update({"Content-Type": "application/json", CANARY_HEADER: "1"})
        if pin:
            session.headers[GENERATION_HEADER] = manifest.id
        for one in canaries:
            _ask(session, url, manifest, one, max(ends - time.monotonic(), 0.1))
    return len(canaries)


def _ask(session: requests.Session, url: str, manifest: Manifest, one: Canary, left: float) -> None:
    rescoring = manifest.routing.rescoring
    by_score = "?rescore=0" if rescoring and not one.lexical else ""

    def fail(reason: str) -> GenerationError:
        return GenerationError(f"canary {one.question!r} through {url}: {reason}")

    asked: dict[str, object] = {"queries": [one.question], "k": max(len(one.ids), 1)}
    if one.filter:
        asked["filter"] = msgspec.Raw(one.filter.encode())
    try:
        response = session.post(
            f"{url}/v1/search{by_score}",
            data=msgspec.json.encode(asked),
            timeout=left,
        )
    except requests.RequestException as error:
        raise fail(f"no answer ({type(error).__name__})") from error
    if response.status_code != 200:
        raise fail(f"{response.status_code} {response.text[:200]}")
    try:
        answer = msgspec.json.decode(response.content, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise fail(f"unreadable answer: {error}") from error
    if answer.generation != manifest.id:
        raise fail(f"answered by generation {answer.generation}, not {manifest.id}")
    query = answer.queries[0]
    if query.partial:
        raise fail("a shard did not answer")
    results, weight = query.results, rescoring.weight if rescoring else 0.0
    got = canary.keys(
        [result.score for result in results], [result.lexical for result in results], weight
    )
    wrong = canary.difference(one, [result.id for result in results], got, weight)
    if wrong:
        raise fail(wrong)

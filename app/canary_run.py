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
from app.generation.withdrawn import NAME as WITHDRAWN
from app.generation.withdrawn import read
from app.wire import CANARY_HEADER, GENERATION_HEADER

# A withdrawal reaches shards about when it reaches this host's list. Where an answer is wrong, a
# list that changes within so many seconds, or has changed so lately, may be why.
PATIENCE = 2.0
LATELY = 5.0
POLL = 0.1


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


def run_canaries(
    url: str, directory: Path, timeout: float, *, pin: bool = False, withdrawn: Path | None = None
) -> int:
    """Ask every canary of the generation in ``directory`` through ``url``, on one connection.

    With ``pin`` a gateway answers from this generation whatever its link names. ``withdrawn`` is
    the host's list of documents that nobody answers with; by default it lies beside the directory
    of the generations.

    Returns: how many were asked.
    Raises: GenerationError naming the first that is not answered by this generation, wholly, and
        with the ids and scores that it must have.
    """
    manifest = Manifest.load(directory)
    canaries = canary.read(directory / canary.NAME)
    ends = time.monotonic() + timeout
    withdrawn = withdrawn or directory.parent.parent / WITHDRAWN
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update({"Content-Type": "application/json", CANARY_HEADER: "1"})
        if pin:
            session.headers[GENERATION_HEADER] = manifest.id
        for one in canaries:

            def ask(one: Canary = one) -> str | None:
                left = max(ends - time.monotonic(), 0.1)
                return _ask(session, url, manifest, one, left, withdrawn)

            wrong = ask()
            if wrong and _is_changing(withdrawn):
                wrong = ask()
            if wrong:
                raise _failed(one, url, wrong)
    return len(canaries)


def _is_changing(withdrawn: Path) -> bool:
    """Whether the list changes now; returns when services have had time to follow it."""

    def changed() -> float:
        return withdrawn.stat().st_mtime if withdrawn.exists() else 0.0

    before, ends = changed(), time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        time.sleep(POLL)
        if changed() != before or time.time() - before < LATELY:
            time.sleep(PATIENCE)
            return True
    return False


def _failed(one: Canary, url: str, reason: str) -> GenerationError:
    return GenerationError(f"canary {one.question!r} through {url}: {reason}")


def _ask(
    session: requests.Session,
    url: str,
    manifest: Manifest,
    one: Canary,
    left: float,
    withdrawn: Path,
) -> str | None:
    """How the answer differs from what it must be; raises GenerationError where there is none."""
    rescoring = manifest.routing.rescoring
    by_score = "?rescore=0" if rescoring and not one.lexical else ""
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
        raise _failed(one, url, f"no answer ({type(error).__name__})") from error
    if response.status_code != 200:
        raise _failed(one, url, f"{response.status_code} {response.text[:200]}")
    try:
        answer = msgspec.json.decode(response.content, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _failed(one, url, f"unreadable answer: {error}") from error
    if answer.generation != manifest.id:
        raise _failed(one, url, f"answered by generation {answer.generation}, not {manifest.id}")
    query = answer.queries[0]
    if query.partial:
        raise _failed(one, url, "a shard did not answer")
    results, weight = query.results, rescoring.weight if rescoring else 0.0
    got = canary.keys(
        [result.score for result in results], [result.lexical for result in results], weight
    )
    try:
        # Read after the answer: a document leaves the answers after it is in the file. What was on
        # the build's list cannot change an answer: the canaries were made without it, too.
        without = read(withdrawn).ids.difference(manifest.withdrawn, manifest.absent)
    except (OSError, ValueError) as error:
        raise _failed(one, url, str(error)) from error
    return canary.difference(one, [result.id for result in results], got, weight, without)

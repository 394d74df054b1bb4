"""The encoder service: text in, unit vectors out, by the current and the previous model."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from app.config import EncoderConfig
from app.encoder.batcher import Batcher, late
from app.encoder.body import MAX_BODY, check_texts, parse_side, parse_texts
from app.encoder.metrics import EncoderState, batch_histogram, pass_histogram
from app.encoder.models import ServedModel, load_models
from app.errors import ProblemError
from app.generation.engine import PassEngine, open_engine
from app.generation.model import Side
from app.service.application import Application
from app.service.breaker import Breaker
from app.service.cache import MAX_CHARACTERS, Cache
from app.service.calls import Way
from app.service.health import new_service
from app.service.lifecycle import Lifecycle
from app.service.request import JSON, Request, check_waits, json_answer
from app.service.request import Answer as HttpAnswer
from app.service.threads import Threads
from app.wire import (
    DEADLINE_HEADER,
    DIM_HEADER,
    MODEL_HEADER,
    OCTETS,
    SLOTS_HEADER,
    vectors_to_bytes,
)
from app.wire.frames import Answer, Encode

# (model, side, text) -> vector. It cannot change an answer: a text has the same vector whenever
# asked.
VectorCache = Cache[tuple[str, Side, str], NDArray[np.float32]]

# A pass is one busy core: as many at one time as there are cores.
CORES = len(os.sched_getaffinity(0))
# Texts that may wait: about half a second of one core's work with the default model.
WAITING = 256
CACHED = 4096
# Characters that are made into tokens on the event loop, in about a millisecond; more of them in a
# thread.
INLINE = 2000


def create_app(
    config: EncoderConfig,
    *,
    opener: Callable[[Path], PassEngine] = open_engine,
    batcher: Batcher | None = None,
    cache: VectorCache | None = None,
) -> Application:
    """Build the service, load its models and pass the self-query.

    Args:
        config: settings; ``config.links`` holds ``current`` and perhaps ``previous``.
        opener: opens an artefact.
        batcher: how many passes at one time, how many texts waiting.
        cache: text -> vector, of CACHED entries by default.

    Raises: GenerationError or ModelError when the current model cannot be served.
    """
    models = load_models(config.links, opener)

    def self_query() -> None:
        for served in models.values():
            served.self_query()

    lifecycle = Lifecycle(config.drain_file, Breaker(self_query), config.unit)
    by_fingerprint = {served.engine.fingerprint: served for served in models.values()}
    current = models["current"]
    queue = batcher or Batcher(passes=CORES, largest=current.engine.largest, waiting=WAITING)
    known = cache or VectorCache(CACHED)

    def describe() -> dict[str, Any]:
        return {
            "model": current.engine.fingerprint,
            "models": {
                name: models[name].engine.fingerprint if name in models else None
                for name in ("current", "previous")
            },
            "dim": current.engine.dim,
            "precision": current.precision,
            "cache": known.statistics(),
            "queue": queue.statistics(),
        }

    app = new_service("encoder", config, lifecycle, describe)
    registry = app.extensions["askfleet.metrics"].registry
    registry.register(EncoderState(queue.statistics, known.statistics))
    batches = batch_histogram(registry)
    queue.on_pass = pass_histogram(registry).observe
    threads = Threads(config.threads, "tokenise")

    async def encoded(
        served: ServedModel,
        side: Side,
        texts: list[str],
        ends: float | None,
        gone: Callable[[], bool],
    ) -> NDArray[np.float32]:
        batches.observe(len(texts))
        waits = partial(check_waits, gone)
        job = partial(queue.submit, served.engine, side=side, ends=ends, check=waits)
        return await _encode(texts, side, served.engine, known, job, threads, ends)

    async def encode(request: Request) -> HttpAnswer:
        args = request.args()
        served = _wanted(args.get("model"), current, by_fingerprint, config.unit)
        side = parse_side(args.get("side"))
        texts = parse_texts(await request.body(MAX_BODY))
        ends = _deadline(request.header(DEADLINE_HEADER.lower()))
        vectors = await encoded(served, side, texts, ends, request.gone)
        headers = (
            (MODEL_HEADER, served.engine.fingerprint),
            (DIM_HEADER, str(served.engine.dim)),
            (SLOTS_HEADER, str(queue.passes)),
        )
        if _wants_json(request.header("accept")):
            told = {"model": served.engine.fingerprint, "dim": served.engine.dim}
            return json_answer({**told, "vectors": vectors.tolist()}, headers)
        return HttpAnswer(vectors_to_bytes(vectors), content_type=OCTETS, headers=headers)

    async def answer(asked: Encode, gone: Callable[[], bool]) -> Answer:
        served = _wanted(asked.model, current, by_fingerprint, config.unit)
        check_texts(asked.texts)
        ends = time.monotonic() + asked.milliseconds / 1000
        vectors = await encoded(served, "query", asked.texts, ends, gone)
        return Answer(queue.passes, vectors_to_bytes(vectors))

    lifecycle.mark_ready()
    ways = {Encode: Way("/encode", answer)}
    return Application(app, {"/encode": {"POST": encode}}, ways=ways)


def _wants_json(accept: str) -> bool:
    """Whether a caller likes JSON better than bytes, which gateways get without asking."""
    if accept in {"", "*/*"}:
        return False
    return parse_accept_header(accept, MIMEAccept).best_match([OCTETS, JSON]) == JSON


def _wanted(
    fingerprint: str | None,
    current: ServedModel,
    by_fingerprint: dict[str, ServedModel],
    unit: str,
) -> ServedModel:
    if fingerprint is None:
        return current
    served = by_fingerprint.get(fingerprint)
    if served is None:
        raise ProblemError(
            409,
            "model_not_loaded",
            f"{unit} serves {', '.join(by_fingerprint)}, not model {fingerprint!r}",
            field="model",
        )
    return served


def _deadline(raw: str) -> float | None:
    """When the caller stops waiting (time.monotonic()), or None; ``raw`` is milliseconds."""
    if not raw:
        return None
    if not (raw.isascii() and raw.isdigit() and len(raw) < 10):
        raise ProblemError(
            400, "bad_deadline", f"{DEADLINE_HEADER} is not milliseconds", field=DEADLINE_HEADER
        )
    return time.monotonic() + int(raw) / 1000


async def _encode(
    texts: list[str],
    side: Side,
    engine: PassEngine,
    cache: VectorCache,
    submit: Callable[..., Future[NDArray[np.float32]]],
    threads: Threads,
    ends: float | None,
) -> NDArray[np.float32]:
    """Vectors (n, dim): from the cache, the rest with whatever else waits.

    ``submit`` takes texts. Raises: ProblemError 504 at the deadline, and what it raises.
    """
    vectors = np.empty((len(texts), engine.dim), dtype=np.float32)
    missing: list[int] = []
    for row, text in enumerate(texts):
        vector = cache.get((engine.fingerprint, side, text))
        if vector is None:
            missing.append(row)
        else:
            vectors[row] = vector
    if not missing:
        return vectors
    wanted = [texts[row] for row in missing]
    if sum(map(len, wanted)) <= INLINE:
        future = submit(texts=wanted)
    else:
        future = await threads.run(lambda: submit(texts=wanted))
    try:
        left = None if ends is None else ends - time.monotonic()
        found = await asyncio.wait_for(asyncio.wrap_future(future), left)
    except TimeoutError:  # what waits no more is not encoded
        raise late() from None
    if not np.isfinite(found).all():
        raise FloatingPointError("the model gave a value that is not finite")
    vectors[missing] = found
    for text, vector in zip(wanted, found, strict=True):
        if len(text) <= MAX_CHARACTERS:
            cache.put((engine.fingerprint, side, text), vector.copy())
    return vectors

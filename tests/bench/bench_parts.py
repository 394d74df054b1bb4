"""What the parts of a question cost: encode, a hop, routing, a shard's search, the merge."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import faiss
import numpy as np
import requests
import urllib3
import uvloop
from bench_data import Data, K
from bench_processes import cpu_seconds

from app.gateway.connections import Connections
from app.generation.engine import Engine, open_engine
from app.generation.manifest import Manifest
from app.generation.merge import merge
from app.generation.rescoring import Rescorer
from app.generation.routing import Router
from app.generation.shard_part import ShardPart
from app.shard.answer import answer_body
from app.wire import MODEL_HEADER, vectors_to_bytes

ROUNDS = 5
Step = Callable[[int], object]


def milliseconds(steps: dict[str, Step], count: int) -> dict[str, float]:
    """Median over rounds of the CPU of this thread for one call of each; rounds interleave."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(ROUNDS + 1):
        for name, step in steps.items():
            begun = time.thread_time()
            for place in range(count):
                step(number * count + place)
            if number:  # the first warms up
                found[name].append((time.thread_time() - begun) / count * 1e3)
    return {name: median(values) for name, values in found.items()}


def encoding(data: Data, reference: Engine) -> dict[str, float]:
    """CPU ms to encode one question, by the artefact's engine and by sentence-transformers."""
    engine = open_engine(data.model)
    questions = data.questions
    steps: dict[str, Step] = {
        "encode, the artefact's engine": lambda i: engine.encode([questions[i]]),
        "encode, sentence-transformers": lambda i: reference.encode([questions[i]]),
    }
    return milliseconds(steps, 100)


def ceiling(data: Data) -> dict[str, float]:
    """CPU ms of a question where nothing is between: the engine and exact FAISS in one process."""
    engine = open_engine(data.model)
    index = faiss.IndexFlatIP(data.vectors.shape[1])
    index.add(np.ascontiguousarray(data.vectors))
    faiss.omp_set_num_threads(1)
    questions = data.questions
    steps: dict[str, Step] = {
        "bare FAISS in process: encode and search all": lambda i: index.search(
            engine.encode([questions[i]]), K
        )
    }
    return milliseconds(steps, 50)


def searching(data: Data, generation: Path) -> dict[str, float]:
    """CPU ms to route one question, to search one shard (documents included), to merge."""
    manifest = Manifest.load(generation)
    router = Router.load(generation, manifest)
    part = ShardPart.open(generation, 0)
    rescorer = Rescorer.load(generation, manifest)
    questions = data.questions[:200]
    terms = [rescorer.terms(question).packed for question in questions] if rescorer else []
    vectors = open_engine(data.model).encode(questions)
    random = np.random.default_rng(3)
    ordinals = random.integers(0, len(data.ids), 2 * K).tolist()
    scores = random.random(2 * K, dtype=np.float32).tolist()
    ids = np.arange(K)
    steps: dict[str, Step] = {
        "route": lambda i: router.probe(vectors[i % 200][None]),
        "search a shard, its answer": lambda i: answer_body(
            manifest.id, 0, part.search(vectors[i % 200][None], K)
        ),
        "the same with words": lambda i: answer_body(
            manifest.id, 0, part.search(vectors[i % 200][None], K, terms[i % 200 :][:1])
        ),
        "the words of a question": lambda i: rescorer and rescorer.terms(questions[i % 200]),
        "of which documents": lambda i: part._documents.fetch(((ids + i) % part.count).tolist()),
        "merge two shards": lambda _: merge(ordinals, scores, K),
    }
    return milliseconds(steps, 200)


def hops(port: int, generation: str, model: str, dim: int, shard: int) -> dict[str, float]:
    """CPU ms of the caller and (as "served") of a shard's process, for one call by each client."""
    base, target = f"http://127.0.0.1:{port}", f"/search?generation={generation}&k={K}"
    body = vectors_to_bytes(np.full((1, dim), dim**-0.5, dtype=np.float32))
    headers = {MODEL_HEADER: model}
    session = requests.Session()
    session.trust_env = False
    pool = urllib3.HTTPConnectionPool("127.0.0.1", port)
    plain = http.client.HTTPConnection("127.0.0.1", port)
    own, loop = Connections(1.0), uvloop.new_event_loop()

    def livez(_: int) -> bytes:
        plain.request("GET", "/livez")
        return plain.getresponse().read()

    steps: dict[str, Step] = {
        "call by requests, default": lambda _: (
            requests.post(base + target, data=body, headers=headers, timeout=5).content
        ),
        "call by requests, kept alive, trust_env off": lambda _: (
            session.post(base + target, data=body, headers=headers, timeout=5).content
        ),
        "call by urllib3": lambda _: pool.urlopen("POST", target, body=body, headers=headers).data,
        "call by the gateway": lambda _: loop.run_until_complete(
            own.post(base, target, body, headers, 5)
        ),
        "an empty call": livez,
    }
    found = milliseconds(steps, 100)
    for name in ("call by the gateway", "an empty call"):
        before = cpu_seconds([shard])
        for _ in range(500):
            steps[name](0)
        served = (cpu_seconds([shard]) - before) / 500 * 1e3
        found[f"{name}, served"] = served
    return found

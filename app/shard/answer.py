"""A shard's answer, put together from what the builder has sealed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from app.generation.shard_part import Hit


def answer_body(generation: str, shard: int, answers: Sequence[Sequence[Hit]]) -> bytes:
    """The JSON of the hits of each question, best first."""
    head = msgspec.json.encode({"generation": generation, "shard": shard})[:-1]
    return b'%b,"results":[%b]}\n' % (head, b",".join(map(_hits, answers)))


def _hits(hits: Sequence[Hit]) -> bytes:
    scores = msgspec.json.encode([hit.score for hit in hits])[1:-1].split(b",")
    return b"[%b]" % b",".join(
        b"%b%b}" % (hit.record, score) for hit, score in zip(hits, scores, strict=bool(hits))
    )

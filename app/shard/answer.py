"""A shard's answer, put together from what the builder has sealed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from app.generation.shard_part import Found, Hit


def answer_body(generation: str, shard: int, answers: Sequence[Found]) -> bytes:
    """The JSON of what was found for each question, best score first."""
    head = msgspec.json.encode({"generation": generation, "shard": shard})[:-1]
    results = b",".join(_hits(found.hits) for found in answers)
    if not any(found.ordinals for found in answers):
        return b'%b,"results":[%b]}\n' % (head, results)
    rest = msgspec.json.encode([(found.ordinals, found.scores) for found in answers])
    return b'%b,"results":[%b],"rest":%b}\n' % (head, results, rest)


_NAMED = b',"named":true'


def _hits(hits: Sequence[Hit]) -> bytes:
    if not hits:
        return b"[]"
    scores = msgspec.json.encode([hit.score for hit in hits])[1:-1].split(b",")
    if hits[0].lexical is None:
        return b"[%b]" % b",".join(
            b"%b%b}" % (hit.record, score) for hit, score in zip(hits, scores, strict=True)
        )
    lexical = msgspec.json.encode([hit.lexical for hit in hits])[1:-1].split(b",")
    return b"[%b]" % b",".join(
        b'%b%b,"lexical":%b%b}' % (hit.record, score, own, _NAMED if hit.named else b"")
        for hit, score, own in zip(hits, scores, lexical, strict=True)
    )

"""The answer to a search, and its public form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.gateway.upstream import ShardHit


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The answer to one question: hits, best first; shards asked; shards that did not answer.

    ``confidence`` that the first hit means the same; None where the generation cannot tell.
    """

    hits: list[ShardHit]
    asked: list[int]
    missing: list[int]
    confidence: float | None = None

    def match(self, least: float) -> ShardHit | None:
        """The first hit, unless the answer is less sure than ``least``."""
        sure = self.confidence is None or self.confidence >= least
        return self.hits[0] if self.hits and sure else None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Answers in the order of the questions, those not from memory, and milliseconds per step."""

    queries: list[QueryResult]
    fresh: list[QueryResult]
    timings: dict[str, float]


def result_json(result: QueryResult, min_confidence: float) -> dict[str, Any]:
    """The public form of one answer."""
    match = result.match(min_confidence)
    return {
        "match": match and match.id,
        "confidence": result.confidence,
        "results": [
            {
                "id": hit.id,
                "text": hit.text,
                "answer": hit.answer,
                "score": hit.score,
                "lexical": hit.lexical,
                "metadata": hit.metadata,
                "matched": hit.matched,
            }
            for hit in result.hits
        ],
        "partial": bool(result.missing),
        "shards_asked": result.asked,
        "shards_missing": result.missing,
    }

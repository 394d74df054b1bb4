"""Labelled questions and the usual measures of a ranking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import CorpusError
from index_builder.corpus.document import Document
from index_builder.corpus.readers import read_file

K = 10


@dataclass(frozen=True, slots=True)
class Labelled:
    """Questions, and for each the ids of the documents that answer it (never empty)."""

    questions: list[str]
    relevant: list[frozenset[str]]


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over the questions, each 0 to 1."""

    hit_at_1: float
    recall_at_10: float
    ndcg_at_10: float


def read_labelled(queries: Path, qrels: Path) -> Labelled:
    """Read questions (any corpus format with ids) and qrels (query-id, corpus-id, grade; TSV).

    Raises: CorpusError naming the file and line at fault.
    """
    texts = {
        outcome.id: outcome.text
        for _, outcome in read_file(queries)
        if isinstance(outcome, Document)
    }
    relevant: dict[str, set[str]] = {}
    try:
        lines = qrels.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{qrels}: cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        parts = line.split("\t")
        if len(parts) != 3:
            raise CorpusError(f"{qrels}:{number}: three columns are needed, separated by tabs")
        query, document, grade = parts
        if query in texts and grade.strip() not in {"", "0"} and grade.strip().isdigit():
            relevant.setdefault(query, set()).add(document)
    if not relevant:
        raise CorpusError(f"{qrels} names no question of {queries}")
    names = [name for name in texts if name in relevant]
    return Labelled([texts[name] for name in names], [frozenset(relevant[name]) for name in names])


def quality(ranked: Sequence[Sequence[str]], relevant: Sequence[frozenset[str]]) -> Quality:
    """Measure rankings (ids, best first) against binary labels."""
    hit = recall = ndcg = 0.0
    for ids, right in zip(ranked, relevant, strict=True):
        gains = [document in right for document in ids[:K]]
        hit += bool(gains and gains[0])
        recall += sum(gains) / min(len(right), K)
        ideal = sum(1 / math.log2(place + 2) for place in range(min(len(right), K)))
        ndcg += sum(gain / math.log2(place + 2) for place, gain in enumerate(gains)) / ideal
    count = len(relevant)
    return Quality(hit / count, recall / count, ndcg / count)

"""Labelled questions, read from BEIR-style files, and the usual measures of a ranking."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import CorpusError
from index_builder.corpus.bad_lines import BadLine, Fault
from index_builder.corpus.readers import read_file

K = 10


@dataclass(frozen=True, slots=True)
class Labelled:
    """Questions, and for each the ids of the documents that answer it (never empty).

    ``lines`` has for every such id the line of ``qrels`` that names it first.
    """

    questions: list[str]
    relevant: list[frozenset[str]]
    qrels: Path
    lines: dict[str, int]

    def require(self, documents: Container[str], corpus: Path, hint: str = "") -> None:
        """Check that every labelled document exists.

        Args:
            documents: the ids that ``corpus`` has.
            corpus: named in the message.
            hint: what may have gone wrong with ``corpus``, for the message.

        Raises: CorpusError naming the first label without a document, and both files.
        """
        for document, line in self.lines.items():
            if document not in documents:
                raise CorpusError(
                    f"{self.qrels}:{line}: {corpus} has no record with the id {document!r}{hint}"
                )


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over the questions, each 0 to 1."""

    hit_at_1: float
    recall_at_10: float
    ndcg_at_10: float


def read_records(path: Path) -> tuple[dict[str, str], list[BadLine]]:
    """Texts by id, from any corpus format, and the lines that hold none.

    Raises: CorpusError when the file cannot be read or holds no text.
    """
    texts: dict[str, str] = {}
    bad: list[BadLine] = []
    for line, outcome in read_file(path):
        if isinstance(outcome, Fault):
            bad.append(BadLine(str(path), line, outcome.reason, outcome.detail))
        else:
            texts[outcome.id] = outcome.text
    if not texts:
        raise CorpusError(f"{path} holds no text{f': {bad[0]}' if bad else ''}")
    return texts, bad


def read_questions(path: Path) -> dict[str, str]:
    """Questions by id; raises CorpusError at the first line that holds none."""
    texts, bad = read_records(path)
    if bad:
        raise CorpusError(str(bad[0]))
    return texts


def read_labelled(queries: Path, qrels: Path) -> Labelled:
    """Read questions (any corpus format with ids) and labels (query-id, corpus-id, grade; TSV).

    A grade above 0 means that the document answers the question. Questions without such a label
    are left out.

    Raises: CorpusError naming the line at fault, or the first label without a question.
    """
    texts = read_questions(queries)
    relevant: dict[str, set[str]] = {}
    lines: dict[str, int] = {}
    for line, query, document in read_labels(qrels):
        if query not in texts:
            raise CorpusError(f"{qrels}:{line}: {queries} has no record with the id {query!r}")
        relevant.setdefault(query, set()).add(document)
        lines.setdefault(document, line)
    if not relevant:
        raise CorpusError(f"{qrels} has no label with a grade above 0")
    names = [name for name in texts if name in relevant]
    return Labelled(
        [texts[name] for name in names], [frozenset(relevant[name]) for name in names], qrels, lines
    )


def read_labels(path: Path) -> list[tuple[int, str, str]]:
    """(line, query id, corpus id) of every label with a grade above 0."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: cannot be read: {error}") from error
    labels = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        fields = [field.strip() for field in line.split("\t")]
        if len(fields) != 3:
            raise CorpusError(f"{path}:{number}: three columns are needed, separated by tabs")
        try:
            grade = float(fields[2])
        except ValueError:
            if number == 1:
                continue  # the names of the columns
            raise CorpusError(f"{path}:{number}: {fields[2]!r} is no grade") from None
        if grade > 0:
            labels.append((number, fields[0], fields[1]))
    return labels


def quality(ranked: Sequence[Sequence[str]], relevant: Sequence[frozenset[str]]) -> Quality:
    """Measure rankings (ids, best first) against binary labels."""
    measured = [gained(ids, right) for ids, right in zip(ranked, relevant, strict=True)]
    hit, recall, ndcg = (sum(column) / len(measured) for column in zip(*measured, strict=True))
    return Quality(hit, recall, ndcg)


def gained(ids: Sequence[str], right: frozenset[str]) -> tuple[float, float, float]:
    """Hit@1, recall@10 and nDCG@10 of one ranking, each 0 to 1; ``right`` is not empty."""
    gains = [document in right for document in ids[:K]]
    ideal = sum(1 / math.log2(place + 2) for place in range(min(len(right), K)))
    ndcg = sum(gain / math.log2(place + 2) for place, gain in enumerate(gains)) / ideal
    return float(bool(gains and gains[0])), sum(gains) / min(len(right), K), ndcg

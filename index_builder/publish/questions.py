"""What the candidates are compared on: labelled questions, a sample, or a few built in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.errors import ModelError
from app.generation.files import sha256_of

SAMPLE = 300
LIMIT = 10_000
BUILT_IN = (
    "Why so serious?",
    "How do you turn on an iPhone?",
    "What is the capital of Australia?",
    "Who wrote the first computer program?",
    "How can I learn to play the guitar at home without a teacher?",
    "Is it safe to take aspirin and ibuprofen on the same day?",
    "What happens to your body when you stop eating sugar for a month?",
    "When did the Berlin wall come down, and why?",
    "How many bones does an adult have?",
    "Can a landlord keep my deposit if I painted the walls?",
    "What is the difference between a virus and a bacterium?",
    "How do I get a red wine stain out of a white carpet?",
    "Which programming language should I learn first in order to find a job quickly?",
    "do cats dream",
    "Where does the Danube end?",
    "What are the side effects of metformin in people over sixty with kidney disease?",
    "Should I repay my mortgage early or put the money into an index fund?",
    "How long should I boil an egg?",
    "Who won the world cup in 1998 and who scored in the final?",
    "What does it mean when my car's engine light flashes only in the morning?",
    "Why is the sky blue?",
    "Is there life on Mars?",
    "How do vaccines work?",
    "What's 15% of 240?",
    "¿Dónde está la biblioteca?",
    "What is RFC 9457 about, and how does it differ from RFC 7807?",
    "My daughter is afraid of the dark, is that normal at the age of seven?",
    "Explain the offside rule.",
    "How do I undo the last commit in git without losing my changes?",
    "What did the narrator find in the old house at the end of the story?",
    "Are tomatoes a fruit or a vegetable?",
    "What is the meaning of life, the universe and everything else, according to Douglas Adams?",
)
LONG = " ".join(BUILT_IN[:20])


@dataclass(frozen=True, slots=True)
class EvalFiles:
    """Labelled questions: corpus and queries as JSONL (``id``, ``text``), qrels as TSV.

    ``limit`` is how many corpus texts beyond the relevant ones are searched.
    """

    corpus: Path
    queries: Path
    qrels: Path
    limit: int = LIMIT

    def digest(self) -> str:
        """sha256 (hex) over the three files and the limit."""
        parts = [sha256_of(path) for path in (self.corpus, self.queries, self.qrels)]
        return hashlib.sha256(f"{' '.join(parts)} {self.limit}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Labelled:
    """Texts to search, questions to ask, and the relevant corpus rows of each question."""

    corpus: list[str]
    queries: list[str]
    relevant: list[set[int]]


def _records(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    record = json.loads(line)
                    text = record["text"]
                    yield str(record.get("id", number)), str(text)
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise ModelError(
                        f"{path}:{number}: no JSON object with text: {error}"
                    ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error


def read_labelled(files: EvalFiles) -> Labelled:
    """Read labelled questions; every ``limit``-th part of the rest of the corpus distracts."""
    qrels: dict[str, set[str]] = {}
    for number, line in enumerate(files.qrels.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split("\t")
        if len(fields) != 3:
            raise ModelError(f"{files.qrels}:{number}: not query-id, corpus-id, score")
        if fields[2] not in {"0", "score"}:
            qrels.setdefault(fields[0], set()).add(fields[1])
    queries = [(key, text) for key, text in _records(files.queries) if key in qrels]
    wanted = set().union(*(qrels[key] for key, _ in queries))
    everything = dict(_records(files.corpus))
    others = [key for key in everything if key not in wanted]
    step = max(1, len(others) // files.limit) if files.limit else len(others) + 1
    chosen = sorted((wanted & everything.keys()) | set(others[::step][: files.limit]))
    rows = {key: row for row, key in enumerate(chosen)}
    relevant = [{rows[key] for key in qrels[query] if key in rows} for query, _ in queries]
    kept = [row for row, found in enumerate(relevant) if found]
    if not kept:
        raise ModelError(f"{files.qrels} names no text of {files.corpus} and {files.queries}")
    return Labelled(
        corpus=[everything[key] for key in chosen],
        queries=[queries[row][1] for row in kept],
        relevant=[relevant[row] for row in kept],
    )


def read_sample(path: Path) -> list[str]:
    """Up to SAMPLE texts spread over a JSONL file."""
    texts = [text for _, text in _records(path)]
    if not texts:
        raise ModelError(f"{path} holds no text")
    return texts[:: max(1, len(texts) // SAMPLE)][:SAMPLE]


@dataclass(frozen=True, slots=True)
class Questions:
    """What to measure on: texts for cosines, labelled questions where there are some."""

    texts: list[str]
    labelled: Labelled | None
    described: str
    digest: str | None

    @classmethod
    def read(cls, eval_files: EvalFiles | None, sample: Path | None) -> Questions:
        """Read the questions that were given, or take those built in."""
        if eval_files is not None:
            labelled = read_labelled(eval_files)
            described = (
                f"{len(labelled.queries)} labelled questions over {len(labelled.corpus)} texts"
            )
            return cls([*labelled.queries[:SAMPLE], LONG], labelled, described, eval_files.digest())
        if sample is not None:
            texts = read_sample(sample)
            return cls([*texts, LONG], None, f"{len(texts)} sampled questions", sha256_of(sample))
        return cls([*BUILT_IN, LONG], None, f"{len(BUILT_IN)} built-in questions", None)

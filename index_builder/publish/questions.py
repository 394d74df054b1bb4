"""What the candidates are compared on: labelled questions, a sample, or a few built in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from app.errors import CorpusError
from app.generation.files import sha256_of
from index_builder import labelled

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


def digest_of(path: Path) -> str:
    """sha256 (hex) of a file of questions; raises CorpusError when it cannot be read."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class EvalFiles:
    """Labelled questions: corpus and queries in any corpus format, qrels as TSV.

    ``limit`` is how many corpus texts beyond the relevant ones are searched.
    """

    corpus: Path
    queries: Path
    qrels: Path
    limit: int = LIMIT

    def digest(self) -> str:
        """sha256 (hex) over the three files and the limit."""
        parts = [digest_of(path) for path in (self.corpus, self.queries, self.qrels)]
        return hashlib.sha256(f"{' '.join(parts)} {self.limit}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Labelled:
    """Texts to search, questions to ask, and the relevant corpus rows of each question."""

    corpus: list[str]
    queries: list[str]
    relevant: list[set[int]]


def read_labelled(files: EvalFiles) -> Labelled:
    """Read labelled questions; every ``limit``-th part of the rest of the corpus distracts.

    Raises: CorpusError naming the line at fault, or the first label that meets no record.
    """
    read = labelled.read_labelled(files.queries, files.qrels)
    texts, bad = labelled.read_records(files.corpus)
    hint = f" ({len(bad)} of its lines cannot be used, the first is {bad[0]})" if bad else ""
    read.require(texts, files.corpus, hint)
    others = [key for key in texts if key not in read.lines]
    step = max(1, len(others) // files.limit) if files.limit else len(others) + 1
    chosen = sorted(read.lines.keys() | set(others[::step][: files.limit]))
    rows = {key: row for row, key in enumerate(chosen)}
    return Labelled(
        corpus=[texts[key] for key in chosen],
        queries=read.questions,
        relevant=[{rows[key] for key in keys} for keys in read.relevant],
    )


def read_sample(path: Path) -> list[str]:
    """Up to SAMPLE texts spread over a file of any corpus format."""
    texts = list(labelled.read_questions(path).values())
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
            asked = read_labelled(eval_files)
            described = f"{len(asked.queries)} labelled questions over {len(asked.corpus)} texts"
            return cls([*asked.queries[:SAMPLE], LONG], asked, described, eval_files.digest())
        if sample is not None:
            texts = read_sample(sample)
            return cls([*texts, LONG], None, f"{len(texts)} sampled questions", digest_of(sample))
        return cls([*BUILT_IN, LONG], None, f"{len(BUILT_IN)} built-in questions", None)

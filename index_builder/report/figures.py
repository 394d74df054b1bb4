"""What a report says beyond the manifest, and the file that keeps it beside the page.

Neither file is part of a generation: they are made after the seal, so the manifest does not list
them, and what it does not list nobody hashes, checks or sends.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from index_builder.corpus.ingest import Ingested

PAGE, FIGURES = "report.html", "report.json"
BESIDE = (PAGE, FIGURES)
VERSION = 1
"""Raised when the figures get another form; older ones are measured again."""
# Histograms of scores have bars of this width, from 0 to 1.
SCORE_STEP = 0.04


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the figures."""


class AsRead(_Part, frozen=True):
    """What only the builder saw, as it read the corpus.

    Attributes:
        bad: lines that were left out, by reason.
        repeats: texts without an id that were there before.
        ignored: keys of records that are no field, and how often.
        assumed: what each file was read as.
    """

    bad: dict[str, int]
    repeats: int
    ignored: dict[str, int]
    assumed: tuple[str, ...]

    @classmethod
    def of(cls, corpus: Ingested) -> AsRead:
        """That of a corpus."""
        bad = {reason.value: count for reason, count in corpus.bad_counts.items()}
        return cls(bad, corpus.repeats, corpus.ignored, tuple(corpus.assumed))


class Texts(_Part, frozen=True):
    """Documents of the sample.

    Attributes:
        documents: how many were looked at.
        answered: how many of them have an answer.
        median: characters of a question.
        longest: likewise.
        step: width of the bars of ``lengths``, in characters.
        lengths: documents by length; the last bar has what is longer.
        languages: of some, by ISO code; "" where the guess is unsure.
    """

    documents: int
    answered: int
    median: int
    longest: int
    step: int
    lengths: tuple[int, ...]
    languages: dict[str, int]

    @property
    def guessed(self) -> int:
        """How many had their language guessed."""
        return sum(self.languages.values())


class Cluster(_Part, frozen=True):
    """A cluster on the map: ``x`` and ``y`` are 0 to 1; its most telling words come first."""

    number: int
    shard: int
    documents: int
    x: float
    y: float
    words: tuple[str, ...]


class Scores(_Part, frozen=True):
    """How near questions find their documents.

    Attributes:
        questions: how many asked.
        best: questions by the score of their first answer, in bars of ``SCORE_STEP``.
        tenth: likewise of their tenth.
        median: of the best.
    """

    questions: int
    best: tuple[int, ...]
    tenth: tuple[int, ...]
    median: float


class Pair(_Part, frozen=True):
    """Two documents that are nearly the same."""

    one: str
    other: str
    score: float


class NearDuplicates(_Part, frozen=True):
    """Of ``asked`` documents, how many have another one as near as ``bound``; some of them."""

    asked: int
    having: int
    bound: float
    examples: tuple[Pair, ...]


class Base(_Part, frozen=True):
    """The generation that this one was built on, and what the same questions find there."""

    id: str
    documents: int
    stored: int
    bytes: int
    fan_out: float
    recall_at_1: float
    recall_at_10: float
    scores: Scores | None


class Figures(_Part, frozen=True):
    """All of it. What the indexes do not give (see sampled.py) is None or empty.

    Attributes:
        version: of this form.
        generation: the id.
        reading: None where nobody knows any more.
        texts: of the sample.
        whole: whether the sample is everything.
        own: by shard, the rows that are no border copies.
        clusters: the largest, the largest first.
        asked: whose questions ``scores`` are of.
        scores: against this generation.
        near: near-duplicates.
        base: None without one.
    """

    version: int
    generation: str
    reading: AsRead | None
    texts: Texts
    whole: bool
    own: tuple[int, ...]
    clusters: tuple[Cluster, ...]
    asked: str
    scores: Scores | None
    near: NearDuplicates | None
    base: Base | None

    def save(self, directory: Path) -> None:
        """Write them beside the manifest."""
        replace(directory / FIGURES, msgspec.json.format(msgspec.json.encode(self), indent=1))


def kept(directory: Path, generation: str) -> Figures | None:
    """The figures beside the manifest; None where there are none of this form and generation."""
    try:
        figures = msgspec.json.decode((directory / FIGURES).read_bytes(), type=Figures)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return figures if (figures.version, figures.generation) == (VERSION, generation) else None


def replace(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file whole, or not at all; ``mode`` as `os.open` takes it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)  # what was left half done has the mode of its own time
    with open(partial, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(content)
    partial.replace(path)

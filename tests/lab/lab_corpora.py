"""Generations of different content, and the right answers of each, worked out in one process."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab_plays import REPO, Play, Running

from app.generation.engine import Engine, open_engine
from app.generation.routing import Probe
from index_builder.replay import Replay

WORK = REPO / "var/test/lab"
GENERATIONS = WORK / "generations"
DOCUMENTS = 2000
K = 5


@dataclass(frozen=True)
class Answer:
    """What one question must be answered with: ids and scores, best first; text of the best.

    ``shards`` are those that it asks.
    """

    ids: list[str]
    scores: list[float]
    text: str
    shards: frozenset[int]


Right = dict[str, dict[str, Answer]]
"""Generation id -> question -> answer."""


@dataclass(frozen=True)
class Answers:
    """One generation's answers to the questions of the load."""

    generation: str
    model: str
    replay: Replay
    auto: dict[str, Answer]


@dataclass(frozen=True)
class Corpora:
    """Generations by name, the default model's directory, and questions they answer differently."""

    answers: dict[str, Answers]
    model: Path
    questions: tuple[str, ...]

    def ids(self, *letters: str) -> tuple[str, ...]:
        """The generations' ids."""
        return tuple(self.answers[letter].generation for letter in letters)

    def by_id(self, *letters: str) -> Right:
        """The right answers of these generations."""
        return {self.answers[one].generation: self.answers[one].auto for one in letters}

    def letter(self, generation: str) -> str:
        """The name of a generation; "" for an id that is none of ours."""
        names = {answers.generation: letter for letter, answers in self.answers.items()}
        return names.get(generation, "")

    def add(self, letter: str, corpus: Path, model: Path, *options: str) -> None:
        """Build one more generation and work out its answers."""
        directory = _build(corpus, model, *options)
        self.answers[letter] = _answers(directory, model, self.questions)

    def exact(self, letter: str, texts: Sequence[str], k: int, probe: Probe) -> list[list[str]]:
        """The ids that a generation must answer with."""
        engine = open_engine(self.model)
        replay = self.answers[letter].replay
        return [replay.search(engine.encode([text]), k, probe, [text]).ids[0] for text in texts]


def make_corpora() -> Corpora:
    """Build A, B and C from the demo corpus; each shares half of its documents with the next."""
    pointer = REPO / "var/demo/model"
    assert pointer.is_file(), "there is no model artefact: `make lab-test` makes it"
    model = Path(pointer.read_text(encoding="utf-8").strip())
    model = model if model.is_absolute() else REPO / model
    lines = (REPO / "var/demo/corpus.jsonl").read_text(encoding="utf-8").splitlines()
    WORK.mkdir(parents=True, exist_ok=True)
    stride = len(lines) // (2 * DOCUMENTS)  # from all sets of the corpus, not from its first
    texts = [json.loads(line)["text"] for line in lines[:: stride * 100]]
    questions = tuple(texts + [f"{text.split(' ', 1)[-1]}?" for text in texts])
    corpora = Corpora({}, model, questions)
    for place, letter in enumerate("ABC"):
        first = place * DOCUMENTS // 2
        own = lines[first * stride :: stride][:DOCUMENTS]
        corpora.add(letter, write_corpus(letter, own), model)
    return corpora


def write_corpus(name: str, lines: Sequence[str]) -> Path:
    """Write lines of JSON as a corpus of the tests."""
    corpus = WORK / f"{name}.jsonl"
    corpus.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return corpus


def _build(corpus: Path, model: Path, *more: str) -> Path:
    command = [sys.executable, "-m", "index_builder", "build", "--json"]
    options = ["--shards", "4", "--processes", "2", "--sample", "500"]
    paths = ["--corpus", str(corpus), "--model", str(model), "--out", str(GENERATIONS)]
    result = subprocess.run(
        [*command, *options, *paths, *more], cwd=REPO, capture_output=True, text=True, timeout=600
    )
    assert result.returncode == 0, f"{corpus.name} cannot be built:\n{result.stderr[-4000:]}"
    return Path(json.loads(result.stdout)["directory"])


def _answers(directory: Path, model: Path, questions: Sequence[str]) -> Answers:
    engine, replay = open_engine(model), Replay(directory)
    auto = {question: answer_to(question, replay, engine) for question in questions}
    return Answers(directory.name, model.name, replay, auto)


def answer_to(question: str, replay: Replay, engine: Engine) -> Answer:
    """What it must be answered with, asked by itself, as the fleet is asked."""
    found = replay.search(engine.encode([question]), K, "auto", [question])
    (hits,), shards = found.hits, frozenset(found.asked[0].nonzero()[0].tolist())
    ids, scores = [hit.row.id for hit in hits], [hit.score for hit in hits]
    return Answer(ids, scores, hits[0].row.text, shards)


def start_update(corpora: Corpora, letter: str, *more: str) -> Running:
    """Start update_index.yml for one of the generations, from the tests' own directory."""
    (generation,) = corpora.ids(letter)
    return start_update_to(GENERATIONS / generation, *more)


def start_update_to(directory: Path, *more: str) -> Running:
    """Start update_index.yml for a sealed generation."""
    settings = [f"generation={directory.name}", f"generation_dir={directory.parent}", *more]
    extra = [part for setting in settings for part in ("-e", setting)]
    return Running("update_index.yml", *extra)


def update(corpora: Corpora, letter: str, *more: str) -> Play:
    """Run update_index.yml for one of the generations to its end."""
    with start_update(corpora, letter, *more) as running:
        return running.done()

"""Three generations of different content, and the right answers of each, worked out in process."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab_plays import REPO, Play, play

from app.generation.engine import open_engine
from app.generation.routing import Probe
from index_builder.replay import Replay

WORK = REPO / "var/test/lab"
GENERATIONS = WORK / "generations"
DOCUMENTS = 2000
K = 5


@dataclass(frozen=True)
class Answers:
    """One generation's answers: question -> (ids, best first; text of the best)."""

    generation: str
    replay: Replay
    auto: dict[str, tuple[list[str], str]]


@dataclass(frozen=True)
class Corpora:
    """Generations by letter, the model's directory, and questions they answer differently."""

    answers: dict[str, Answers]
    model: Path
    questions: tuple[str, ...]

    def ids(self, *letters: str) -> tuple[str, ...]:
        """The generations' ids."""
        return tuple(self.answers[letter].generation for letter in letters)

    def by_id(self, *letters: str) -> dict[str, dict[str, tuple[list[str], str]]]:
        """Generation id -> right answers."""
        return {self.answers[one].generation: self.answers[one].auto for one in letters}

    def exact(self, letter: str, texts: Sequence[str], k: int, probe: Probe) -> list[list[str]]:
        """The ids that a generation must answer with."""
        engine = open_engine(self.model)
        replay = self.answers[letter].replay
        return [replay.search(engine.encode([text]), k, probe).ids[0] for text in texts]


def make_corpora() -> Corpora:
    """Build A, B and C from the demo corpus; each shares half of its documents with the next."""
    pointer = REPO / "var/demo/model"
    assert pointer.is_file(), "there is no model artefact: `make lab-test` makes it"
    model = Path(pointer.read_text(encoding="utf-8").strip())
    model = model if model.is_absolute() else REPO / model
    lines = (REPO / "var/demo/corpus.jsonl").read_text(encoding="utf-8").splitlines()
    WORK.mkdir(parents=True, exist_ok=True)
    stride = len(lines) // (2 * DOCUMENTS)  # from all sets of the corpus, not from its first
    built = {}
    for place, letter in enumerate("ABC"):
        first = place * DOCUMENTS // 2
        own = lines[first * stride :: stride][:DOCUMENTS]
        corpus = WORK / f"{letter}.jsonl"
        corpus.write_text("\n".join(own) + "\n", encoding="utf-8")
        built[letter] = _build(corpus, model)
    texts = [json.loads(line)["text"] for line in lines[:: stride * 100]]
    questions = tuple(texts + [f"{text.split(' ', 1)[-1]}?" for text in texts])
    return Corpora(
        {one: _answers(at, model, questions) for one, at in built.items()}, model, questions
    )


def _build(corpus: Path, model: Path) -> Path:
    command = [sys.executable, "-m", "index_builder", "build", "--json"]
    options = ["--shards", "4", "--processes", "2", "--sample", "500"]
    paths = ["--corpus", str(corpus), "--model", str(model), "--out", str(GENERATIONS)]
    result = subprocess.run(
        [*command, *options, *paths], cwd=REPO, capture_output=True, text=True, timeout=600
    )
    assert result.returncode == 0, f"{corpus.name} cannot be built:\n{result.stderr[-4000:]}"
    return Path(json.loads(result.stdout)["directory"])


def _answers(directory: Path, model: Path, questions: Sequence[str]) -> Answers:
    engine, replay, auto = open_engine(model), Replay(directory), {}
    for question in questions:  # one at a time, as the fleet is asked
        replayed = replay.search(engine.encode([question]), K, "auto")
        auto[question] = (replayed.ids[0], replayed.hits[0][0].row.text)
    return Answers(directory.name, replay, auto)


def update(corpora: Corpora, letter: str) -> Play:
    """Run update_index.yml for one of the generations, from the tests' own directory."""
    (generation,) = corpora.ids(letter)
    settings = {
        "generation": generation,
        "generation_dir": str(GENERATIONS),
        "staging_generation_source": str(GENERATIONS / generation),
    }
    extra = [part for name, value in settings.items() for part in ("-e", f"{name}={value}")]
    return play("update_index.yml", *extra)

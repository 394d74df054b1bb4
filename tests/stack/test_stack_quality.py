"""Words and names are worth what docs/quality.md says, on documents of the demo corpus."""

from collections.abc import Sequence

import numpy as np
import pytest
from stack_processes import Stack, model

from app.generation.engine import open_engine
from app.generation.rows import everything
from app.generation.shard_part import open_store
from index_builder.replay import Replay

COUNT = 300


@pytest.fixture(scope="module")
def replay(stack: Stack) -> Replay:
    return Replay(stack.generation)


@pytest.fixture(scope="module")
def documents(stack: Stack, replay: Replay) -> dict[str, str]:
    """Texts that are there once, by id: a few hundred from all over the corpus."""
    shards = range(len(replay.manifest.shards))
    rows = [
        row
        for shard in shards
        for row in everything(open_store(stack.generation, replay.manifest, shard))
    ]
    by_text = {row.text: row.id for row in rows}
    texts = sorted(by_text, key=lambda text: (by_text[text], text))
    return {by_text[text]: text for text in texts[:: max(len(texts) // COUNT, 1)]}


def mistyped(text: str, seed: int) -> str:
    """Two letters of each of the two longest words change places."""
    rng, words = np.random.default_rng(seed), text.split()
    for at in sorted(range(len(words)), key=lambda at: -len(words[at]))[:2]:
        word = words[at]
        if len(word) > 3:
            i = int(rng.integers(1, len(word) - 2))
            words[at] = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    return " ".join(words)


def found_first(replay: Replay, questions: Sequence[str], ids: Sequence[str], words: bool) -> float:
    vectors = open_engine(model()).encode(questions)
    found = replay.search(vectors, 1, "auto", questions if words else ())
    return float(np.mean([got[:1] == [right] for got, right in zip(found.ids, ids, strict=True)]))


def test_typing_mistakes_are_forgiven(replay: Replay, documents: dict[str, str]) -> None:
    ids = list(documents)
    questions = [mistyped(text, seed) for seed, text in enumerate(documents.values())]
    by_score = found_first(replay, questions, ids, words=False)
    with_words = found_first(replay, questions, ids, words=True)
    assert with_words >= by_score + 0.02
    assert with_words >= 0.85


def test_what_is_typed_right_loses_nothing(replay: Replay, documents: dict[str, str]) -> None:
    ids, texts = list(documents), list(documents.values())
    assert found_first(replay, texts, ids, words=True) >= 0.99

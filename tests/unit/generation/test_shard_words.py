"""Coverage against a slow reading of its definition; damaged files are an error that names them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import GenerationError
from app.generation.shard_words import COUNTS, ORDINALS, TRIGRAMS, ShardWords, write
from app.generation.trigrams import BUCKETS, question_terms, trigrams, weights

DOCUMENTS = ["how do I reset it?", "reset", "?", "how", "", "do I do I do I"]
WEIGHTS = weights(np.arange(BUCKETS) % 97, 97)
TERMS = question_terms("how to reset", WEIGHTS)


def words_of(texts: list[str], part: Path) -> ShardWords:
    write(part, np.arange(len(texts)) * 2, iter([texts[:2], texts[2:]]))
    return ShardWords.load(part, len(texts))


def slowly(question: str, text: str) -> float:
    asked, held = trigrams([question])[0].tolist(), set(trigrams([text])[0].tolist())
    total = sum(int(WEIGHTS[bucket]) for bucket in asked)
    return sum(int(WEIGHTS[bucket]) for bucket in asked if bucket in held) / total if total else 0.0


@settings(max_examples=100, deadline=None)
@given(
    question=st.sampled_from(["how to reset", "reset it", "x", "", "how do I reset it?"]),
    rows=st.lists(st.integers(0, len(DOCUMENTS) - 1), max_size=8),
)
def test_coverage_is_the_weight_that_a_row_has(
    question: str, rows: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    words = words_of(DOCUMENTS, tmp_path_factory.mktemp("part"))
    found = words.coverage(np.array(rows, np.int64), question_terms(question, WEIGHTS))
    assert found.tolist() == [slowly(question, DOCUMENTS[row]) for row in rows]
    assert words.ordinals(np.array(rows, np.int64)).tolist() == [2 * row for row in rows]


def test_a_shard_may_be_empty(tmp_path: Path) -> None:
    words = words_of([], tmp_path)
    assert words.coverage(np.empty(0, np.int64), TERMS).tolist() == []


@pytest.mark.parametrize("name", [ORDINALS, COUNTS, TRIGRAMS])
@pytest.mark.parametrize("content", ["missing", "cut", "floats", "fewer"])
def test_damage_is_named(tmp_path: Path, name: str, content: str) -> None:
    words_of(DOCUMENTS, tmp_path)
    path = tmp_path / name
    if content == "missing":
        path.unlink()
    elif content == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif content == "floats":
        np.save(path, np.zeros(len(DOCUMENTS)))
    else:
        np.save(path, np.load(path)[:-1])
    with pytest.raises(GenerationError, match="rows" if content == "fewer" else name):
        ShardWords.load(tmp_path, len(DOCUMENTS))

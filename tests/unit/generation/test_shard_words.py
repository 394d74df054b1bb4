"""Coverage against a slow reading of its definition; damaged files are an error that names them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import GenerationError
from app.generation.file_names import ROWS_BY_NAME
from app.generation.names import ROWS
from app.generation.shard_words import COUNTS, MAX_NAMED, ORDINALS, TRIGRAMS, ShardWords, write
from app.generation.trigrams import BUCKETS, folded, trigrams, weights

DOCUMENTS = ["how do I reset it?", "reset", "?", "how", "", "do I do I do I"]
WEIGHTS = weights(np.arange(BUCKETS) % 97, 97)


def words_of(texts: list[str], part: Path) -> ShardWords:
    write(part, np.arange(len(texts)) * 2, iter([texts[:2], texts[2:]]))
    np.save(part / ROWS_BY_NAME, np.array([(7, 1), (9, 1), (7, 3)][: len(texts)], ROWS))
    return ShardWords.load(part, len(texts), named=True)


def slowly(question: str, text: str) -> float:
    asked, held = (
        trigrams([folded(question)])[0].tolist(),
        set(trigrams([folded(text)])[0].tolist()),
    )
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
    buckets, _ = trigrams([folded(question)])
    found = words.coverage(np.array(rows, np.int64), buckets, WEIGHTS[buckets])
    assert found.tolist() == [slowly(question, DOCUMENTS[row]) for row in rows]
    assert words.ordinals(np.array(rows, np.int64)).tolist() == [2 * row for row in rows]


def test_a_shard_may_be_empty(tmp_path: Path) -> None:
    words = words_of([], tmp_path)
    nothing = np.empty(0, np.int64)
    buckets, _ = trigrams([folded("how to reset")])
    assert words.coverage(nothing, buckets, WEIGHTS[buckets]).tolist() == []
    assert words.named([7]).tolist() == []


def test_rows_are_found_by_their_names(tmp_path: Path) -> None:
    words = words_of(DOCUMENTS, tmp_path)
    assert words.named([7]).tolist() == [1, 3]
    assert words.named([9, 7]).tolist() == [1, 3]
    assert words.named([8]).tolist() == []


def test_a_name_brings_no_more_than_a_bound() -> None:
    """32 bits of a checksum may be those of many words of a large corpus."""
    count = 2 * MAX_NAMED
    held = np.array([(7, row) for row in range(count)], ROWS)
    whole = np.zeros(count, np.uint16)
    words = ShardWords(np.arange(count, dtype=np.uint32), whole, whole[:0], held)
    assert words.named([7]).tolist() == list(range(MAX_NAMED))


def test_a_name_of_a_row_that_is_not_there_is_refused() -> None:
    one = np.zeros(1, np.uint16)
    with pytest.raises(GenerationError, match="a name is of a row that is not there: there are 1"):
        ShardWords(np.zeros(1, np.uint32), one, one[:0], np.array([(7, 1)], ROWS))


@pytest.mark.parametrize("name", [ORDINALS, COUNTS, TRIGRAMS, ROWS_BY_NAME])
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
        beyond = np.array([(7, len(DOCUMENTS))], ROWS)
        np.save(path, np.load(path)[:-1] if name != ROWS_BY_NAME else beyond)
    with pytest.raises(GenerationError, match="row" if content == "fewer" else name):
        ShardWords.load(tmp_path, len(DOCUMENTS), named=True)


def test_ordinals_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="build without --base"):
        write(tmp_path, np.array([1, 1 << 32]), iter([["a", "b"]]))

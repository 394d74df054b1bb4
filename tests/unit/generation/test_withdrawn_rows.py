"""A shard without its withdrawn documents answers as one that was built without them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoder_fakes import vector_of
from schema_1 import as_before
from small_generations import SmallGeneration, build_small, documents_of

from app.errors import GenerationError
from app.generation.rescoring import Rescorer
from app.generation.shard_part import ShardPart
from app.generation.withdrawn_rows import MORE

TEXTS = [f"item KX-{number} of many" for number in range(80)]
QUESTIONS = [*TEXTS[:6], "which items?", "KX-9", "item KX-17 KX-18"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> SmallGeneration:
    return build_small(tmp_path_factory.mktemp("whole"), TEXTS, shards=2, storage=1.5)


def found(part: ShardPart, k: int = 5, terms: Any = ()) -> list[list[tuple[str, float]]]:
    vectors = np.stack([vector_of(text) for text in QUESTIONS])
    return [[(hit.row.id, hit.score) for hit in one.hits] for one in part.search(vectors, k, terms)]


@pytest.mark.parametrize("gone", [1, 5, MORE + 9, 75, 80])
def test_scores_and_order_are_those_of_a_build_without_them(
    tmp_path: Path, gone: int, whole: SmallGeneration
) -> None:
    """In one shard, so that both builds store the same rows in the same order."""
    one = build_small(tmp_path / "one", TEXTS, shards=1, artefact=whole.artefact)
    part = ShardPart.open(one.directory, 0)
    documents = documents_of(TEXTS)
    out = {document.id for document in documents[:gone]}
    part.withdraw(frozenset(out))
    assert part.withdrawn == out
    part.self_query()
    left = [document for document in documents if document.id not in out]
    if not left:
        assert found(part) == [[]] * len(QUESTIONS)
        return
    other = build_small(tmp_path / "two", documents=left, shards=1, artefact=whole.artefact)
    for k in (1, 5, 50, 100):
        assert found(part, k) == found(ShardPart.open(other.directory, 0), k)


@pytest.mark.parametrize("shard", [0, 1])
def test_neither_words_nor_names_bring_them(whole: SmallGeneration, shard: int) -> None:
    """As many as before, in the order before; what comes in their place had been next."""
    rescorer = Rescorer.load(whole.directory, whole.manifest)
    assert rescorer is not None
    assert rescorer.rescoring.sharing, "names are tested too"
    terms = tuple(rescorer.terms(question).packed for question in QUESTIONS)
    part = ShardPart.open(whole.directory, shard)
    before = found(part, 5, terms)
    # The best of each question, which its name brings too.
    out = frozenset(answer[0][0] for answer in before)
    part.withdraw(out)
    vectors = np.stack([vector_of(text) for text in QUESTIONS])
    for own, answer in zip(part.search(vectors, 5, terms), before, strict=True):
        ids = [hit.row.id for hit in own.hits]
        assert not out.intersection(ids)
        stayed = {name: score for name, score in answer if name not in out}
        scores = {hit.row.id: hit.score for hit in own.hits}
        assert {name: scores[name] for name in stayed if name in scores} == {
            name: score for name, score in stayed.items() if name in scores
        }
        assert len(ids) >= 5
    part.withdraw(frozenset())
    assert found(part, 5, terms) == before, "brought back"


def test_a_name_of_a_withdrawn_document_makes_no_candidate(whole: SmallGeneration) -> None:
    rescorer = Rescorer.load(whole.directory, whole.manifest)
    assert rescorer is not None
    terms = (rescorer.terms("KX-9").packed,)
    parts = [ShardPart.open(whole.directory, shard) for shard in range(2)]
    vector = vector_of("nothing like it")[None]
    having = [p for p in parts if any(h.named for h in p.search(vector, 1, terms)[0].hits)]
    assert having
    for part in having:
        part.withdraw(frozenset({"d0009"}))
        assert not any(hit.named for hit in part.search(vector, 1, terms)[0].hits)


def test_a_document_that_is_not_here_changes_nothing(whole: SmallGeneration) -> None:
    part = ShardPart.open(whole.directory, 0)
    before = found(part)
    part.withdraw(frozenset({"nobody"}))
    assert part.withdrawn == frozenset()
    assert found(part) == before


def test_a_generation_of_the_release_before_leaves_them_out(
    tmp_path: Path, whole: SmallGeneration
) -> None:
    part = ShardPart.open(as_before(whole.directory, tmp_path), 0)
    out = frozenset(answer[0][0] for answer in found(part))
    part.withdraw(out)
    assert part.withdrawn == out
    assert not out.intersection(name for answer in found(part) for name, _ in answer)


def test_a_damaged_record_is_told(tmp_path: Path, whole: SmallGeneration) -> None:
    copy = build_small(tmp_path, TEXTS, shards=1, artefact=whole.artefact)
    path = copy.directory / "shard-000/documents.bin"
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    part = ShardPart.open(copy.directory, 0)
    with pytest.raises(GenerationError, match="damaged"):
        part.withdraw(frozenset({"d0001"}))

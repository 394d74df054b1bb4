"""Answers searched too, through every service: which text matched is told, documents come once."""

import json
from typing import Any

import numpy as np
import pytest
from contract import Search, read
from encoder_fakes import Opener, vector_of
from local_fleet import LocalFleet, start_fleet
from numpy.typing import NDArray
from small_generations import build_small, vectors_of

from index_builder import encoded, pipeline
from index_builder.corpus.document import Document
from index_builder.corpus.ingest import Ingested
from index_builder.corpus.store import read_texts
from index_builder.replay import Replay

DOCUMENTS = [
    Document(
        id=f"d{n:04}",
        text=f"question number {n}",
        answer=f"see page {n} of the manual" if n % 4 else None,
        metadata=None,
    )
    for n in range(120)
]
QUESTIONS = ["see page 7 of the manual", "question number 7", "question number 8", "7 or 90?", "?"]


def embed(corpus: Ingested, *_: Any, **__: Any) -> NDArray[np.float32]:
    return vectors_of(read_texts(corpus.documents))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> LocalFleet:
    root = tmp_path_factory.mktemp("also")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoded, "embed", embed)
        patch.setattr(pipeline, "open_engine", Opener())
        return start_fleet(
            root, build_small(root, documents=DOCUMENTS, shards=4, also_search="answer")
        )


@pytest.mark.parametrize("probe", ["auto", "all", 1])
@pytest.mark.parametrize("rescore", [0, 1])
@pytest.mark.parametrize("k", [1, 7, 100])
def test_the_fleet_answers_as_one_process(
    both: LocalFleet, probe: Any, rescore: int, k: int
) -> None:
    body = json.dumps({"queries": QUESTIONS, "k": k, "probe": probe})
    answer = read(both.gateway.post(f"/v1/search?rescore={rescore}", data=body), Search)
    replayed = Replay(both.generation.directory).search(
        np.stack([vector_of(text) for text in QUESTIONS]), k, probe, QUESTIONS if rescore else ()
    )
    for query, hits in zip(answer.queries, replayed.hits, strict=True):
        told = [(one.id, one.matched, one.score) for one in query.results]
        assert told == [(hit.row.id, hit.row.matched, pytest.approx(hit.score)) for hit in hits]
        assert len({name for name, _, _ in told}) == len(told)
        assert probe != "all" or len(told) == k


def test_a_document_is_found_by_its_answer_and_by_its_question(both: LocalFleet) -> None:
    body = json.dumps({"queries": QUESTIONS[:3]})
    answer = read(both.gateway.post("/v1/search", data=body), Search)
    first = [query.results[0] for query in answer.queries]
    assert [(one.id, one.text, one.answer, one.matched) for one in first] == [
        ("d0007", "question number 7", "see page 7 of the manual", "answer"),
        ("d0007", "question number 7", "see page 7 of the manual", "question"),
        ("d0008", "question number 8", None, "question"),
    ]
    assert [one.score for one in first] == pytest.approx([1, 1, 1])


def test_a_withdrawn_document_goes_with_both_of_its_rows(both: LocalFleet) -> None:
    replay = Replay(both.generation.directory)
    replay.withdraw(frozenset({"d0007"}))
    for texts in (QUESTIONS, ()):
        found = replay.search(vectors_of(QUESTIONS), 119, "all", texts)
        for own in found.ids:
            assert sorted(own) == [one.id for one in DOCUMENTS if one.id != "d0007"]

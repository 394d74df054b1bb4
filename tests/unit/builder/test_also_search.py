"""Answers searched beside questions: a document is as near as the nearer of the two."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from canary_answers import canary_difference
from encoder_fakes import Opener, make_artefact, vector_of
from numpy.typing import NDArray
from small_generations import SmallGeneration, build_small, silent, vectors_of

from app.errors import BuildError
from app.generation import canary
from app.generation.names import names
from app.generation.rows import everything
from app.generation.trigrams import BUCKETS, folded, trigrams, weights
from index_builder import encoded as encoding
from index_builder import pipeline
from index_builder.choose_weight import USUAL
from index_builder.corpus.document import Document
from index_builder.corpus.ingest import Ingested, ingest_documents
from index_builder.corpus.store import read_texts
from index_builder.filterable import wanted_fields
from index_builder.inputs import Inputs
from index_builder.pipeline import build
from index_builder.replay import Replay
from index_builder.settings import Settings
from index_builder.summary import summary
from index_builder.workers import HERE

COUNT = 240
TOPICS = ("refund", "address", "password", "invoice", "parcel")


def documents(count: int = COUNT) -> list[Document]:
    """Two in three have an answer."""
    return [
        Document(
            id=f"d{n:04}",
            text=f"how about the {TOPICS[n % 5]} number {n}?",
            answer=None if n % 3 == 0 else f"see page {n} on {TOPICS[n // 5 % 5]} KX-{n}",
            metadata={"odd": n % 2 == 1},
        )
        for n in range(count)
    ]


QUESTIONS = [
    "see page 7 on refund",
    "how about the parcel number 4?",
    "page 11",
    "number",
    "?",
    *(f"see page {n}" for n in range(20)),
    *(f"{n}, {n + 50}, {n + 100}, {n + 150} or {n + 200}" for n in range(30)),
]


@pytest.fixture(autouse=True)
def _encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_encoder(monkeypatch.setattr)


def fake_encoder(patch: Callable[[Any, str, Any], None]) -> None:
    def embed(corpus: Ingested, *_: Any, **__: Any) -> NDArray[np.float32]:
        return vectors_of(read_texts(corpus.documents))

    patch(encoding, "embed", embed)
    patch(pipeline, "open_engine", Opener())


def build_also(root: Path, shards: int, storage: float = 1.5, **more: Any) -> SmallGeneration:
    given = more.pop("documents", documents())
    more.setdefault("also_search", "answer")
    return build_small(root, documents=given, shards=shards, storage=storage, **more)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[int, SmallGeneration]:
    root = tmp_path_factory.mktemp("also")
    with pytest.MonkeyPatch.context() as patch:
        fake_encoder(patch.setattr)
        return {
            shards: build_also(root / str(shards), shards, storage)
            for shards, storage in ((1, 1.0), (3, 1.5), (4, 2.0))
        }


def scores_of(question: str) -> list[tuple[float, str]]:
    """By its definition: the better of a document's two texts, and which it is."""
    vector, found = vector_of(question), []
    for one in documents():
        by_text = [(float(vector_of(one.text) @ vector), "question")]
        if one.answer:
            by_text.append((float(vector_of(one.answer) @ vector), "answer"))
        found.append(max(by_text))
    return found


def ranked(question: str, k: int, weight: float) -> list[tuple[str, str]]:
    """By its definition: the 50 best and what has a name of the question, by score and words."""
    found = scores_of(question)
    order = sorted(range(COUNT), key=lambda at: (-round(found[at][0], 6), at))
    held, counts = trigrams([folded(one.text) for one in documents()])
    weighed = weights(np.bincount(held, minlength=BUCKETS), COUNT).astype(int)
    own = [set(part.tolist()) for part in np.split(held, np.cumsum(counts)[:-1])]
    asked = trigrams([folded(question)])[0].tolist()
    mass = sum(weighed[bucket] for bucket in asked)

    rare = set(names(folded(question)))
    having = {at for at, one in enumerate(documents()) if rare & set(names(folded(one.text)))}
    nearest = [at for place, at in enumerate(order) if place < 50 or at in having]

    def key(at: int) -> tuple[float, int]:
        shared = sum(weighed[bucket] for bucket in asked if bucket in own[at])
        return -round(found[at][0] + weight * shared / max(mass, 1), 6), at

    best = order
    if weight:
        best = sorted(nearest, key=key) + [at for at in order if at not in nearest]
    return [(f"d{at:04}", found[at][1]) for at in best[:k]]


@pytest.mark.parametrize("k", [1, 10, 90])
@pytest.mark.parametrize("words", [True, False])
def test_any_number_of_shards_gives_the_list_of_the_definition(
    built: dict[int, SmallGeneration], k: int, words: bool
) -> None:
    lists = []
    for generation in built.values():
        texts = QUESTIONS if words else ()
        found = Replay(generation.directory).search(vectors_of(QUESTIONS), k, "all", texts)
        lists.append(
            [[(h.row.id, h.row.matched, h.score, h.lexical) for h in own] for own in found.hits]
        )
    assert lists[0] == lists[1] == lists[2]
    for question, own in zip(QUESTIONS, lists[0], strict=True):
        assert [(name, matched) for name, matched, _, _ in own] == ranked(
            question, k, USUAL if words else 0.0
        )
        assert len({name for name, _, _, _ in own}) == k
    assert {matched for own in lists[0] for _, matched, _, _ in own} == {"question", "answer"}


def test_more_than_there_are_gives_each_document_once(built: dict[int, SmallGeneration]) -> None:
    for generation in built.values():
        found = Replay(generation.directory).search(vectors_of(QUESTIONS), 1000, "all", QUESTIONS)
        assert {len(own) for own in found.ids} == {COUNT}
        assert {len(set(own)) for own in found.ids} == {COUNT}


def test_the_manifest_counts_documents_and_texts(built: dict[int, SmallGeneration]) -> None:
    manifest = built[3].manifest
    assert manifest.documents == COUNT
    assert manifest.routing.also is not None
    assert manifest.routing.also.texts == COUNT + 160
    assert manifest.stored == pytest.approx(1.5 * 400, abs=4)
    replay = Replay(built[3].directory)
    rows = [row.matched for part in replay._parts for row in everything(part._documents)]
    assert manifest.routing.also.stored == rows.count("answer")
    size = sum(shard.memory_bytes for shard in manifest.shards)
    share = manifest.routing.also.stored / manifest.stored
    assert manifest.routing.also.stored_bytes == pytest.approx(size * share, rel=0.1)
    told = summary(manifest, True, built[3].directory, [])
    assert f"160 beside 240 questions; {rows.count('answer')} of {len(rows)} rows, " in told


def test_canaries_are_answered(built: dict[int, SmallGeneration]) -> None:
    for generation in built.values():
        replay = Replay(generation.directory)
        for one in canary.read(generation.directory / canary.NAME):
            assert canary_difference(replay, one, vector_of(one.question)) is None
            assert len(set(one.ids)) == len(one.ids)


def test_canaries_prove_that_answers_are_searched(built: dict[int, SmallGeneration]) -> None:
    """Beginnings of answers, whose documents nothing but the row of the answer finds."""
    answers = {one.answer: one.id for one in documents()}
    for generation in built.values():
        asked = canary.read(generation.directory / canary.NAME)[32:]
        assert len(asked) == generation.manifest.canaries - 32 == 8
        for one in asked:
            assert one.ids[0] == answers[one.question]
            assert one.scores[0] == pytest.approx(1.0)
            found = Replay(generation.directory).search(
                vector_of(one.question)[None], 1, "auto", [one.question]
            )
            assert found.hits[0][0].row.matched == "answer"


def test_a_long_answer_is_asked_by_its_beginning(tmp_path: Path) -> None:
    long = [replace(one, answer=f"  {one.id} {'é' * 5000}") for one in documents(40)]
    generation = build_also(tmp_path, 2, documents=long)
    asked = canary.read(generation.directory / canary.NAME)[32:]
    assert {len(one.question) for one in asked} == {200}
    assert all(one.question.startswith("d00") for one in asked)


def test_filters_are_of_documents(tmp_path: Path) -> None:
    generation = build_also(tmp_path, 3, filterable=wanted_fields("odd"))
    found = Replay(generation.directory).search(
        vectors_of(QUESTIONS), COUNT, "all", QUESTIONS, {"odd": True}
    )
    odd = {one.id for number, one in enumerate(documents()) if number % 2}
    assert [set(own) for own in found.ids] == [odd] * len(QUESTIONS)
    assert {len(own) for own in found.ids} == {len(odd)}


def test_without_it_nothing_is_told_and_nothing_changes(tmp_path: Path) -> None:
    plain = build_also(tmp_path, 3, also_search="")
    assert plain.manifest.routing.also is None
    assert plain.manifest.stored == pytest.approx(1.5 * COUNT, abs=4)
    record = Replay(plain.directory).search(vectors_of(QUESTIONS), 1, "all").hits[0][0].record
    assert b"matched" not in record


def test_a_base_keeps_its_rows(tmp_path: Path) -> None:
    first = build_also(tmp_path, 3)
    same = build_also(tmp_path / "same", 3, None, artefact=first.artefact, base=first.directory)
    assert same.manifest.files == first.manifest.files
    fewer = [one for one in documents() if one.id != "d0007"]
    second = build_also(
        tmp_path, 3, None, documents=fewer, artefact=first.artefact, base=first.directory
    )
    found = Replay(second.directory).search(vectors_of(QUESTIONS), COUNT, "all", QUESTIONS)
    assert {len(set(own)) for own in found.ids} == {COUNT - 1}
    plain = build_also(
        tmp_path / "plain", 3, None, artefact=first.artefact, base=first.directory, also_search=""
    )
    assert plain.manifest.routing.also is None
    again = build_also(tmp_path / "again", 3, None, artefact=first.artefact, base=plain.directory)
    found = Replay(again.directory).search(vectors_of(QUESTIONS), COUNT, "all", QUESTIONS)
    assert {row.matched for row in (h.row for own in found.hits for h in own)} == {
        "question",
        "answer",
    }


def test_the_gain_is_measured_on_labels(tmp_path: Path) -> None:
    """Questions that are answers' own texts: nothing but the answers finds them."""
    labels = [
        *(
            {"question": str(one.answer), "id": one.id, "same": True}
            for one in documents()
            if one.answer
        ),
        *({"question": f"stranger {n}", "id": "", "same": False} for n in range(40)),
    ]
    given = tmp_path / "labels.jsonl"
    given.write_text("".join(json.dumps(label) + "\n" for label in labels))
    manifest = build_also(tmp_path, 3, labelled=given).manifest
    assert manifest.routing.also is not None
    before, now = manifest.routing.also.hit_at_1
    assert manifest.routing.also.labels == 160
    told = summary(manifest, True, tmp_path, [])
    assert f"right for {before:.1%} by questions alone, {now:.1%} with" in told
    assert now > 0.95
    assert before < 0.5


def test_an_answer_that_is_the_question_again_is_left_out(tmp_path: Path) -> None:
    """Which of the two texts matched would depend on the shards."""
    same = [replace(one, answer=one.text) if n < 10 else one for n, one in enumerate(documents())]
    having = sum(one.answer is not None for one in same[10:])
    for shards in (1, 3):
        generation = build_also(tmp_path / str(shards), shards, documents=same)
        assert generation.manifest.routing.also is not None
        assert generation.manifest.routing.also.texts == COUNT + having
        found = Replay(generation.directory).search(
            vectors_of([one.text for one in same[:10]]), 1, "all"
        )
        assert {own[0].row.matched for own in found.hits} == {"question"}


def test_a_withdrawal_encodes_nothing_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []

    def embed(corpus: Ingested, *_: Any, **__: Any) -> NDArray[np.float32]:
        encoded.append(corpus.count)
        return vectors_of(read_texts(corpus.documents))

    monkeypatch.setattr(encoding, "embed", embed)
    corpus = ingest_documents(documents(), tmp_path / "corpus")
    artefact, gone = make_artefact(tmp_path / "models", b"small"), {"d0003", "d0007"}
    manifest, _ = build(
        Inputs(corpus, artefact, without=frozenset(gone)),
        Settings(shards=3, index="exact", sample=50, also_search="answer"),
        tmp_path / "out", tmp_path / "work", HERE, silent(),
    )  # fmt: skip
    assert encoded == [COUNT, 160]  # as without a withdrawal, so what was kept is used again
    assert manifest.routing.also is not None
    assert manifest.routing.also.texts == COUNT - 2 + 160 - 1
    replay = Replay(tmp_path / "out" / manifest.id)
    found = replay.search(vectors_of(QUESTIONS), COUNT, "all", QUESTIONS)
    left = {one.id for one in documents()} - gone
    for question, own in zip(QUESTIONS, found.hits, strict=True):
        assert {hit.row.id for hit in own} == left
        best = dict(zip([one.id for one in documents()], scores_of(question), strict=True))
        for hit in own:
            score, matched = best[hit.row.id]
            assert (hit.score, hit.row.matched) == (pytest.approx(score, abs=1e-5), matched)


def test_a_corpus_without_answers_is_refused(tmp_path: Path) -> None:
    bare = [Document(id=f"d{n}", text=f"text {n}") for n in range(30)]
    with pytest.raises(BuildError, match="no document has an answer"):
        build_also(tmp_path, 2, documents=bare)

"""A model with two sides: documents are encoded as such, whatever asks as a question."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from canary_answers import canary_difference
from encoder_fakes import FakeEngine, make_artefact, vector_of
from small_generations import TEXTS, documents_of, silent

from app.generation import canary
from app.generation.model import Model, Prompt, Prompts
from index_builder import encoded as encoding
from index_builder import pipeline
from index_builder.corpus.ingest import ingest_documents
from index_builder.embed import embed
from index_builder.inputs import Inputs
from index_builder.replay import Replay
from index_builder.settings import Settings
from index_builder.workers import HERE


def test_canaries_and_the_sample_are_asked_as_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = Prompts(Prompt("query: "), Prompt("passage: "))
    artefact = make_artefact(tmp_path / "models", b"one", prompts=prompts)
    engine = FakeEngine(Model.load(artefact).fingerprint, two_sided=True)
    monkeypatch.setattr(encoding, "embed", partial(embed, engine_factory=lambda _: engine))
    monkeypatch.setattr(pipeline, "open_engine", lambda _: engine)
    corpus = ingest_documents(documents_of(TEXTS), tmp_path / "corpus")
    settings = Settings(shards=3, index="exact", sample=20)
    asked: list[np.ndarray] = []
    measure = pipeline.evaluate.choose_routing

    def remember(sample, *rest):  # type: ignore[no-untyped-def]  # passed on as it is
        asked.append(sample.vectors)
        return measure(sample, *rest)

    monkeypatch.setattr(pipeline.evaluate, "choose_routing", remember)
    out = tmp_path / "out"
    manifest, _ = pipeline.build(
        Inputs(corpus, artefact), settings, out, tmp_path / "work", HERE, silent()
    )

    (sample,) = asked
    questions = {vector_of(text).tobytes() for text in TEXTS}
    assert {row.tobytes() for row in sample} < questions
    documents = np.stack([vector_of(text, "document") for text in TEXTS])
    replay = Replay(out / manifest.id)
    found = replay.search(documents, 1, "all")
    assert np.allclose([hits[0].score for hits in found.hits], 1), "documents as documents"
    for one in canary.read(out / manifest.id / canary.NAME):
        assert canary_difference(replay, one, vector_of(one.question)) is None

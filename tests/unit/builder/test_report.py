"""The report of a build: every section is there, on a page that is no part of what is sealed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from encoder_fakes import Opener, make_artefact
from numpy.typing import NDArray
from report_page import ReportPage
from small_generations import SmallGeneration, build_small, documents_of, silent, vectors_of

from app.errors import GenerationError
from app.generation.manifest import Manifest
from app.generation.manifest_parts import Confidence, ConfidenceRow, Rescoring, WeightRow
from app.generation.model import Prompt, Prompts
from index_builder import encoded as encoding
from index_builder import pipeline, report_command
from index_builder.cli import main
from index_builder.corpus.document import Document
from index_builder.corpus.ingest import Ingested
from index_builder.corpus.store import read_texts
from index_builder.report import figures as kept_figures
from index_builder.report import measure as measuring
from index_builder.report import sampled
from index_builder.report.figures import BESIDE, FIGURES, PAGE, AsRead, Figures, kept
from index_builder.report.map import projected, telling_words
from index_builder.report.measure import Known, measure
from index_builder.report.page import rendered
from index_builder.report.remarks import remarks
from index_builder.report.texts import language
from index_builder.report_command import leave_report, make
from index_builder.seal import existing

SECTIONS = ["", "corpus", "clusters", "shards", "recall", "scores"]
HOSTILE = [
    "</script><b>bold</b>",
    "<img src=x onerror=alert(1)>",
    "\u202eevil\u202c",
    "كيف يمكنني إعادة تعيين كلمة المرور؟",
    "a\x00b\x1bc",
    "{{ 7 * 7 }} {% raw %}",
    '" onload="alert(1)',
]


def page_of(generation: SmallGeneration, known: Known | None = None) -> ReportPage:
    figures = measure(generation.directory, generation.manifest, known or Known())
    page = ReportPage(rendered(generation.manifest, figures))
    assert page.faults == []
    return page


def documents(count: int = 90) -> list[Document]:
    """Each has metadata."""
    plain = documents_of([f"question number {n}" for n in range(count)])
    return [
        replace(one, metadata={"set": "faq" if at % 3 else "<i>", "year": at})
        for at, one in enumerate(plain)
    ]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> SmallGeneration:
    return build_small(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def figures(built: SmallGeneration) -> Figures:
    reading = AsRead({"no text": 3, "duplicate id": 1}, 7, {"lang": 2}, ("faq <b>.csv: CSV",))
    return measure(built.directory, built.manifest, Known(reading))


def test_every_section_is_there(built: SmallGeneration, figures: Figures) -> None:
    page = ReportPage(rendered(built.manifest, figures))
    assert page.faults == []
    assert list(page.sections) == SECTIONS
    assert "60 documents in 3 shards" in page.sections[""]
    assert "All 60 documents were looked at" in page.sections["corpus"]
    for told in ("bad: no text", "bad: duplicate id", "key lang ignored", "faq <b>.csv: CSV"):
        assert told in page.sections["corpus"]
    assert "number" in page.sections["clusters"]
    assert "Flat" in page.sections["shards"]
    assert "(chosen)" in page.sections["recall"]
    assert "60 documents, each asked as a question" in page.sections["scores"]


def test_the_figures_are_those_of_the_generation(built: SmallGeneration, figures: Figures) -> None:
    """All of it was looked at, so they are exact."""
    assert figures.whole
    assert figures.texts.documents == sum(figures.texts.lengths) == 60
    assert figures.texts.answered == 30
    assert sum(figures.own) == 60
    assert sum(cluster.documents for cluster in figures.clusters) == 60
    by_shard = {cluster.number: cluster.shard for cluster in figures.clusters}
    assert all(by_shard[one] == s.shard for s in built.manifest.shards for one in s.clusters)
    assert figures.scores is not None
    assert figures.near is not None
    near = built.vectors @ built.vectors.T - 2 * np.eye(60, dtype=np.float32)
    assert figures.scores.median == pytest.approx(float(np.median(near.max(axis=1))), abs=0.05)
    assert figures.near.having <= int((near.max(axis=1) >= 0.98).sum())


def test_a_sample_of_a_generation_says_that_it_is_one(
    built: SmallGeneration, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = sampled.draw(built.directory, built.manifest, 30)
    assert not few.whole
    assert sum(few.own) == pytest.approx(60, abs=2)
    assert len({row.id for row in few.rows}) == len(few.rows) < 60
    monkeypatch.setattr(measuring, "draw", lambda *one: sampled.draw(*one, 30))
    assert "Of 60 documents a sample of" in page_of(built).sections["corpus"]


def test_the_same_generation_gives_the_same_page(built: SmallGeneration, figures: Figures) -> None:
    again = measure(built.directory, built.manifest, Known(figures.reading))
    assert again == figures
    assert rendered(built.manifest, again) == rendered(built.manifest, figures)


def test_clusters_lie_on_a_map(tmp_path: Path) -> None:
    """Enough of them for a map of neighbourhoods, the same each time."""
    labels = np.arange(90, dtype=np.int32) % 24
    generation = build_small(tmp_path, documents=documents(), labels=labels, storage=1.0)
    page = page_of(generation)
    assert page.tags.count("circle") == 24 + 2  # and what was chosen
    centroids = vectors_of([f"centre {n}" for n in range(24)])
    points = projected(centroids)
    assert points.min() == 0
    assert points.max() == 1
    assert np.array_equal(points, projected(centroids))
    for few in (1, 2, 3):
        assert np.isfinite(projected(centroids[:few])).all()


def test_words_tell_a_cluster_from_the_others(built: SmallGeneration) -> None:
    texts = ["what is a horse", "what is a horse race", "what is the moon", "what is the moon now"]
    [row, *_] = sampled.draw(built.directory, built.manifest).rows
    rows = [msgspec.structs.replace(row, text=text) for text in texts]
    words = telling_words(rows, np.array([0, 0, 1, 1]), np.array([1, 0]))
    assert [own[0] for own in words] == ["moon", "horse"]
    numbers = [msgspec.structs.replace(row, text="1 2 3") for row in rows]
    assert telling_words(numbers, np.array([0, 0, 1, 1]), np.array([1, 0])) == [(), ()]
    long = [msgspec.structs.replace(row, text="字" * 90) for row in rows]
    assert telling_words(long, np.array([0] * 4), np.array([0])) == [("字" * 23 + "…",)]


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    """In labels, in near-duplicates, in names of fields, files and filters."""
    texts = [f"{HOSTILE[n % len(HOSTILE)]} {n // len(HOSTILE)}" for n in range(70)]
    hostile = [
        Document(f"<b>{n}", text, "</title><script>", {"se<t": HOSTILE[n % 3]})
        for n, text in enumerate(texts)
    ]
    vectors = np.repeat(vectors_of(texts[:35]), 2, axis=0)  # each is near another one
    generation = build_small(
        tmp_path, documents=hostile, vectors=vectors, filterable=(("se<t", None),)
    )
    reading = AsRead({"<b>": 1}, 0, {"<b>\x07": 3}, tuple(HOSTILE))
    figures = measure(generation.directory, generation.manifest, Known(reading))
    assert figures.near is not None
    assert figures.near.having == 70
    html = rendered(generation.manifest, figures)
    page = ReportPage(html)
    assert page.faults == []
    for told in ("</script><b>bold</b>", "{{ 7 * 7 }}", '" onload="'):
        assert told in page.sections["corpus"]
    assert not set(html) & set("\x00\x07\x1b\u202e\u202c")


def test_what_was_built_on_a_base_is_compared_with_it(tmp_path: Path) -> None:
    base = build_small(tmp_path / "one", documents=documents(80), storage=1.0)
    built = build_small(
        tmp_path / "two", documents=documents(84), base=base.directory, artefact=base.artefact
    )
    page = page_of(built, Known(base=base.directory))
    assert f"This generation and {base.manifest.id}" in page.sections["scores"]
    assert "the best in the base" in page.sections["scores"]
    figures = measure(built.directory, built.manifest, Known(base=base.directory))
    assert figures.base is not None
    assert (figures.base.documents, built.manifest.documents) == (80, 84)
    own = measure(base.directory, base.manifest, Known(base=base.directory))
    assert own.base is not None
    assert own.base.scores == own.scores


def test_real_questions_are_asked_where_there_are_some(
    built: SmallGeneration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "open_engine", Opener())
    known = Known(model=built.artefact, questions=["question number 7", "stranger"])
    page = page_of(built, known)
    assert "2 real questions" in page.sections["scores"]
    scores = measure(built.directory, built.manifest, known).scores
    assert scores is not None
    assert scores.best[-1] == 1, "the one that a document asks too"


def test_a_model_of_two_sides_asks_as_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = Prompts(Prompt("q: "), Prompt("d: "))
    artefact = make_artefact(tmp_path / "models", b"two", prompts=prompts)
    monkeypatch.setattr(pipeline, "open_engine", Opener())
    built = build_small(tmp_path, artefact=artefact, storage=1.0)
    monkeypatch.setattr(measuring, "open_engine", opener := Opener())
    page_of(built, Known(model=artefact))
    [engine] = opener.engines.values()
    assert len(engine.encoded) == 60


@pytest.mark.parametrize(
    ("shards", "settings", "says"),
    [
        (1, {"storage": 1.0}, "There is one shard"),
        (3, {"filterable": (("set", None), ("year", None))}, "year (number)"),
        (3, {"filterable": (("set", None),), "also_search": "answer"}, "Answers are searched too"),
        (2, {"index": "auto", "storage": None}, "Border copies: what was measured"),
        (2, {"rescore_weight": 0.0}, "60 documents"),
    ],
    ids=["one", "filters", "also", "auto", "no words"],
)
def test_other_generations_have_reports_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: int, settings: Any, says: str
) -> None:
    fake_encoder(monkeypatch.setattr)
    count = 60 if "rescore_weight" in settings else 90
    built = build_small(tmp_path, documents=documents(count), shards=shards, **settings)
    page = page_of(built)
    assert says in " ".join(page.sections.values())


def fake_encoder(patch: Callable[[Any, str, Any], None]) -> None:
    def embed(corpus: Ingested, *_: Any, **__: Any) -> NDArray[np.float32]:
        return vectors_of(read_texts(corpus.documents))

    patch(encoding, "embed", embed)
    patch(pipeline, "open_engine", Opener())


def test_empty_shards_are_told(tmp_path: Path) -> None:
    built = build_small(tmp_path, [f"text {n % 2}" for n in range(40)], storage=1.0)
    page = page_of(built)
    assert "1 of 3 shards is empty" in page.sections[""]
    assert "empty" in page.sections["shards"]


@pytest.mark.parametrize("kind", ["IVF2,Flat", "IVF1,PQ2x4fs"])
def test_an_index_that_gives_no_vectors_back_has_a_shorter_report(
    tmp_path: Path, kind: str
) -> None:
    """FAISS crashes where it is asked for vectors of packed codes in lists."""
    built = build_small(tmp_path, documents=documents(), shards=2, index=kind)
    figures = measure(built.directory, built.manifest, Known())
    assert (figures.clusters, figures.scores, figures.near, figures.own) == ((), None, None, ())
    assert figures.texts.documents == 90
    page = page_of(built)
    assert list(page.sections) == SECTIONS
    assert "do not give vectors back" in page.sections["clusters"]


def test_what_labels_told_is_shown(built: SmallGeneration, figures: Figures) -> None:
    rescoring = Rescoring(0.25, 50, 20, 300, (WeightRow(0.0, 0.8), WeightRow(0.25, 0.9)))
    table = (ConfidenceRow(0.9, 0.71, 0.8), ConfidenceRow(0.95, 0.0, 0.0))
    sure = Confidence(300, 0.0, (1.0,) * 5, table)
    routing = msgspec.structs.replace(built.manifest.routing, rescoring=rescoring, confidence=sure)
    page = ReportPage(rendered(msgspec.structs.replace(built.manifest, routing=routing), figures))
    assert page.faults == []
    assert list(page.sections) == [*SECTIONS, "more"]
    for told in ("0.25 (chosen)", "90.0", "of 300 labelled questions", "from 300 labels", "0.71"):
        assert told in page.sections["more"]


def test_what_is_worth_a_look_is_said(built: SmallGeneration, figures: Figures) -> None:
    said = " ".join(remarks(built.manifest, figures))
    assert "4 bad lines were left out" in said
    assert "7 repeated texts" in said
    routing = msgspec.structs.replace(built.manifest.routing, target_recall_at_1=1.01)
    missed = msgspec.structs.replace(built.manifest, routing=routing, withdrawn=("a",))
    texts = msgspec.structs.replace(figures.texts, languages={"en": 60, "de": 30, "": 10})
    near = msgspec.structs.replace(figures.near, having=30)
    said = " ".join(remarks(missed, msgspec.structs.replace(figures, texts=texts, near=near)))
    for told in ("are not reached", "1 withdrawn", "several languages", "50% of the documents"):
        assert told in said


@pytest.mark.slow
def test_languages_are_guessed_where_the_guess_is_sure() -> None:
    assert language("Wie kann ich mein Passwort für das Konto ändern?") == "de"
    assert language("where can I find the invoice of my last order?") == "en"
    assert language("كيف يمكنني إعادة تعيين كلمة المرور؟") == "ar"
    assert language("X-4711") == ""
    assert language("") == ""


def test_nothing_of_a_report_is_sealed(tmp_path: Path) -> None:
    """The same content with and without; what is beside the manifest is neither listed nor seen."""
    built = build_small(tmp_path / "one")
    make(built.directory, Known())
    assert {path.name for path in built.directory.iterdir() if path.name in BESIDE} == set(BESIDE)
    manifest = Manifest.load(built.directory)
    assert manifest == built.manifest
    assert not set(BESIDE) & set(manifest.files)
    assert not set(BESIDE) & set(manifest.parts(range(3), routing=True))
    manifest.verify(built.directory, range(3), routing=True)
    assert existing(built.directory.parent, manifest.inputs_hash) == manifest
    other = build_small(tmp_path / "two", artefact=built.artefact)
    assert other.manifest.content_hash == manifest.content_hash
    based = build_small(tmp_path / "three", base=built.directory, artefact=built.artefact)
    assert not set(BESIDE) & set(based.manifest.files)


def test_figures_that_are_there_are_taken(
    tmp_path: Path, built: SmallGeneration, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures.save(built.directory)
    monkeypatch.setattr(report_command, "measure", None)
    page = make(built.directory, Known(), tmp_path / "page.html")
    assert page.read_text() == rendered(built.manifest, figures)
    assert main(["report", str(built.directory), "--out", str(page)]) == 0
    assert not list(built.directory.glob(".*"))
    (built.directory / FIGURES).unlink()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"version":1}', b"[]"])
def test_figures_that_cannot_be_read_are_measured_again(
    built: SmallGeneration, tmp_path: Path, content: bytes
) -> None:
    (built.directory / FIGURES).write_bytes(content)
    make(built.directory, Known(), tmp_path / "page.html")
    assert "Not known" in (tmp_path / "page.html").read_text()
    assert (built.directory / FIGURES).read_bytes() == content, "it was asked for elsewhere"
    make(built.directory, Known())
    assert kept(built.directory, built.manifest.id) is not None
    assert kept(built.directory, "another") is None
    for name in BESIDE:
        (built.directory / name).unlink()


def test_figures_of_another_form_are_none(
    built: SmallGeneration, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures.save(built.directory)
    monkeypatch.setattr(kept_figures, "VERSION", 2)
    assert kept(built.directory, built.manifest.id) is None
    (built.directory / FIGURES).unlink()


def test_a_report_of_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 1
    assert "is not a sealed generation" in capsys.readouterr().err


def built_by_command(tmp_path: Path, artefact: Path, *more: str) -> int:
    corpus = tmp_path / "faq.jsonl"
    lines = [f'{{"id": "q{n}", "text": "question number {n}"}}' for n in range(60)]
    corpus.write_text("\n".join([*lines, "{", '{"id": "q1", "text": "again"}']))
    arguments = ["build", "--corpus", str(corpus), "--model", str(artefact), "--shards", "3"]
    arguments += ["--index", "exact", "--max-bad", "0.1", "--out", str(tmp_path / "out")]
    return main([*arguments, *more])


def test_a_build_leaves_a_report_and_names_it_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_encoder(monkeypatch.setattr)
    artefact = make_artefact(tmp_path / "models", b"one")
    assert built_by_command(tmp_path, artefact) == 0
    told = capsys.readouterr()
    [page] = (tmp_path / "out").glob(f"2*/{PAGE}")
    assert told.out.splitlines()[-1] == f"  report     {page}"
    assert f"report: {page}" in told.err, "what a play shows"
    assert "bad: invalid JSON" in ReportPage(page.read_text()).sections["corpus"]

    written = page.stat().st_mtime_ns
    assert built_by_command(tmp_path, artefact, "--json") == 0
    assert page.stat().st_mtime_ns == written, "the generation was there, and its report"
    page.unlink()
    assert built_by_command(tmp_path, artefact) == 0
    assert page.exists()


def test_a_report_that_fails_takes_nothing_from_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_encoder(monkeypatch.setattr)

    def broken(*_: object) -> None:
        raise GenerationError("the map is torn")

    monkeypatch.setattr(report_command, "measure", broken)
    artefact = make_artefact(tmp_path / "models", b"one")
    assert built_by_command(tmp_path, artefact) == 0
    told = capsys.readouterr()
    [manifest] = (tmp_path / "out").glob("2*/manifest.json")
    for stream in (told.out, told.err):
        assert "not made: the map is torn. The generation is sealed and whole" in stream
        assert f"python -m index_builder report {manifest.parent}" in stream
    Manifest.load(manifest.parent).verify(manifest.parent, range(3), routing=True)
    assert not set(BESIDE) & {path.name for path in manifest.parent.iterdir()}


def test_whatever_goes_wrong_is_said(built: SmallGeneration) -> None:
    progress = silent()
    said = leave_report(built.directory / "gone", Known(), progress)
    assert "not made:" in said
    assert said in progress.stream.getvalue()  # type: ignore[attr-defined]  # it is a StringIO

"""Labels, what is fitted from them, and the command that makes them."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from encoder_fakes import Opener, vector_of
from small_generations import SmallGeneration, build_small, documents_of

from app.errors import BuildError, CorpusError
from app.generation.manifest_parts import Confidence
from index_builder import label_command, pipeline
from index_builder.cli import main
from index_builder.confidence import Examples, fit
from index_builder.corpus.ingest import ingest_documents
from index_builder.document_rows import DocumentRows
from index_builder.labels import Labelled, read_labelled
from index_builder.replay import Replay

TEXTS = tuple(f"how do I reset the {word} of {n}?" for n in range(60) for word in ("mail", "bank"))
# 120 questions are documents, so their first result is right; 40 are of nothing.
QUESTIONS = [*((text, f"d{at:04}", True) for at, text in enumerate(TEXTS))]
NOTHING = [(f"stranger {n}", "", False) for n in range(40)]


def written(path: Path, labels: list[tuple[str, str, bool]]) -> Path:
    lines = [json.dumps({"question": q, "id": name, "same": same}) for q, name, same in labels]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> SmallGeneration:
    root = tmp_path_factory.mktemp("labelled")
    return build_with(root, [*QUESTIONS, *NOTHING])


def build_with(
    root: Path, labels: list[tuple[str, str, bool]], **settings: object
) -> SmallGeneration:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "open_engine", Opener())
        told = written(root / "labels.jsonl", labels)
        artefact = next(iter((root / "models").glob("*")), None)
        return build_small(root, TEXTS, artefact=artefact, labelled=told, **settings)


def test_answers_that_fit_are_surer_than_those_that_do_not(labelled: SmallGeneration) -> None:
    model = labelled.manifest.routing.confidence
    assert isinstance(model, Confidence)
    assert model.labels == 160
    right, wrong = [q for q, _, _ in QUESTIONS], [f"foreigner {n}" for n in range(40)]
    replay = Replay(labelled.directory)

    def sure(texts: list[str]) -> list[float]:
        vectors = np.stack([vector_of(text) for text in texts])
        found = replay.search(vectors, 1, "auto", texts).confidence
        return [one for one in found if one is not None]

    assert len(sure(right)) == len(right)
    assert min(sure(right)) > max(sure(wrong))
    at_90 = next(row for row in model.table if row.precision == 0.9)
    assert min(sure(right)) >= at_90.min_confidence > 0
    assert at_90.answered > 0.9


def test_an_answer_is_as_sure_however_many_results_are_wanted(labelled: SmallGeneration) -> None:
    replay, texts = Replay(labelled.directory), ["how do I reset the mail of 3?", "stranger 3"]
    vectors = np.stack([vector_of(text) for text in texts])
    lists = [replay.search(vectors, k, "all", texts).confidence for k in (1, 2, 10, 100)]
    assert lists[0] == lists[1] == lists[2] == lists[3]
    assert replay.search(vectors, 10, "all").confidence == [None, None]


def test_without_negatives_right_documents_are_taken_away(tmp_path: Path) -> None:
    built = build_with(tmp_path, QUESTIONS)
    assert built.manifest.routing.confidence is not None
    assert built.manifest.routing.confidence.labels == len(QUESTIONS)


def test_labels_are_part_of_what_a_generation_is_made_of(tmp_path: Path) -> None:
    first = build_with(tmp_path, [*QUESTIONS, *NOTHING])
    again = build_with(tmp_path, [*QUESTIONS, *NOTHING])
    other = build_with(tmp_path, [*QUESTIONS, *NOTHING[:-1]])
    assert (first.new, again.new, other.new) == (True, False, True)
    assert first.manifest.content_hash != other.manifest.content_hash


def test_labels_need_words(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="--labels needs words: leave --rescore-weight 0 out"):
        build_with(tmp_path, QUESTIONS, rescore_weight=0.0)


@pytest.mark.parametrize("right", [0, 1, 9, 111, 120])
def test_labels_of_one_kind_are_refused(right: int) -> None:
    known = Examples(np.zeros((120, 5)), np.arange(120) < right, np.arange(120))
    message = f"{right} are right and {120 - right} are not, at least 10 of each"
    with pytest.raises(BuildError, match=message):
        fit(known)


# --- the file ---------------------------------------------------------------------------------


@pytest.fixture
def rows(tmp_path: Path) -> DocumentRows:
    return DocumentRows(ingest_documents(documents_of(TEXTS), tmp_path / "corpus").documents)


def test_lines_of_one_question_go_together(rows: DocumentRows, tmp_path: Path) -> None:
    labels = [*QUESTIONS, (" how do I  reset the mail of 0?", "d0007", True)]
    labels += [("nothing\n", "d0001", False), ("gone", "x", True), ("half gone", "x", True)]
    labels += [("half gone", "d0003", True), ("never was", "x", False)]
    found, gone = read_labelled(written(tmp_path / "labels.jsonl", labels), rows)
    by_question = {one.question: one.right for one in found}
    assert by_question["how do I reset the mail of 0?"] == (0, 7)
    assert by_question["nothing"] == ()
    assert by_question["half gone"] == (3,)
    assert "never was" not in by_question, "what was judged has gone"
    assert "gone" not in by_question, "who knows what is right for it now"
    assert gone == 3


def test_only_what_was_judged_counts() -> None:
    known, asked = Labelled("a", (1, 2), (3,)), Labelled("b", (), (3,))
    assert [known.judged(place) for place in (1, 3, 4)] == [True, False, False]
    assert [asked.judged(place) for place in (3, 4)] == [False, None]
    assert Labelled("c", (), (), nothing=True).judged(4) is False


def test_the_last_label_of_a_pair_counts(rows: DocumentRows, tmp_path: Path) -> None:
    labels = [*QUESTIONS, (TEXTS[0], "d0000", False), (TEXTS[1], "", False)]
    found, _ = read_labelled(written(tmp_path / "labels.jsonl", labels), rows)
    assert (found[0].right, found[0].wrong) == ((), (0,))
    assert (found[1].right, found[1].nothing) == ((1,), False), "it says itself what fits"


def test_too_few_are_refused(rows: DocumentRows, tmp_path: Path) -> None:
    path = written(tmp_path / "labels.jsonl", [*QUESTIONS[:98], ("gone", "x", True)])
    with pytest.raises(CorpusError) as caught:
        read_labelled(path, rows)
    assert str(caught.value) == (
        f"{path} has 98 labelled questions (1 of its labels name documents that the corpus lacks), "
        "at least 100 are needed: python -m index_builder label makes more"
    )


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("x", "not a label"),
        ('{"question": "a", "id": "d1"}', "missing required field `same`"),
        ('{"question": "a", "id": "d1", "same": 1}', "Expected `bool`"),
        ('{"question": "a", "id": "d1", "same": true, "x": 1}', "unknown field `x`"),
        ('{"question": " ", "id": "d1", "same": true}', "the question is empty"),
        ('"\ud800"', "not a label"),
    ],
)
def test_a_line_that_is_none_is_named(
    rows: DocumentRows, tmp_path: Path, line: str, fault: str
) -> None:
    path = written(tmp_path / "labels.jsonl", QUESTIONS[:3])
    with path.open("ab") as file:
        file.write(b"\n" + line.encode("utf-8", "surrogatepass") + b"\n")
    with pytest.raises(CorpusError, match=fault) as caught:
        read_labelled(path, rows)
    assert f"{path}:5:" in str(caught.value)


# --- the command ------------------------------------------------------------------------------


def label(
    labelled: SmallGeneration, root: Path, typed: str, monkeypatch: pytest.MonkeyPatch, *more: str
) -> int:
    questions = root / "questions.txt"
    questions.write_text("\n".join(TEXTS[:8]) + "\n")
    monkeypatch.setattr(label_command, "open_engine", Opener())
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    given = ["--questions", questions, "--generation", labelled.directory]
    given += ["--model", labelled.artefact, "--out", root / "out.jsonl", *more]
    return main(["label", *map(str, given)])


def test_answers_are_kept_one_by_one_and_gone_on_with(
    labelled: SmallGeneration,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert label(labelled, tmp_path, "y\nwhat\nN\ns\nq\n", monkeypatch) == 0
    first = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [one["same"] for one in first] == [True, False]
    shown = capsys.readouterr().out
    assert f"1 of 8\n  asked  {first[0]['question']}\n  found  {first[0]['question']}" in shown
    assert shown.count("y: it means the same") == 2, "what is none of them is asked again"
    assert "2 questions are labelled" in shown
    assert "build --labels needs 98 more" in shown
    assert label(labelled, tmp_path, "y\n" * 6, monkeypatch) == 0
    every = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert every[:2] == first
    assert {one["question"] for one in every} == set(TEXTS[:8])
    assert "3 of 8" in capsys.readouterr().out


def test_a_file_without_its_last_newline_is_gone_on_with(
    labelled: SmallGeneration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out.jsonl").write_text('{"question":"x","id":"d0000","same":true}')
    assert label(labelled, tmp_path, "y\n", monkeypatch) == 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2


def test_input_that_ends_stops_it(
    labelled: SmallGeneration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert label(labelled, tmp_path, "y\n", monkeypatch, "--count", "3") == 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1


def test_another_model_is_refused(
    labelled: SmallGeneration,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = build_small(tmp_path / "other", TEXTS[:3])
    code = label(labelled, tmp_path, "", monkeypatch, "--generation", str(other.directory))
    assert code == 0, "the same fake model"
    (tmp_path / "out.jsonl").write_text("x\n")
    assert label(labelled, tmp_path, "", monkeypatch) == 1
    assert "out.jsonl:1: not a label" in capsys.readouterr().err

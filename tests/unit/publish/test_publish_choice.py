import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from app.errors import CorpusError, ModelError
from app.generation.model import Comparison, Measured
from index_builder.cli import main
from index_builder.publish.compare import choose, table
from index_builder.publish.questions import (
    BUILT_IN,
    EvalFiles,
    Questions,
    read_labelled,
    read_sample,
)

FP32 = Measured("onnx", "fp32", 5.0, 1.0, 1.0, 90.0, None, None, True, False)
W8 = replace(FP32, precision="w8", ms=3.0, cosine_mean=0.999, cosine_min=0.99)
INT8 = replace(FP32, precision="int8", ms=2.0, cosine_mean=0.994, cosine_min=0.98, portable=False)


def test_the_fastest_portable_form_near_enough_is_chosen() -> None:
    assert choose([FP32, W8, INT8]) == "w8"


def test_a_form_too_far_from_the_reference_is_not() -> None:
    assert choose([FP32, replace(W8, cosine_mean=0.989)]) == "fp32"
    assert choose([FP32, replace(W8, cosine_min=0.9)]) == "fp32"


def test_noise_does_not_choose() -> None:
    assert choose([FP32, replace(W8, ms=4.8)]) == "fp32"


def test_with_labels_retrieval_decides() -> None:
    fp32 = replace(FP32, hit_at_1=0.86, recall_at_10=0.97)
    far = replace(W8, cosine_mean=0.9, hit_at_1=0.859, recall_at_10=0.9695)
    assert choose([fp32, far]) == "w8"
    assert choose([fp32, replace(far, hit_at_1=0.857)]) == "fp32"
    assert choose([fp32, replace(far, recall_at_10=0.96)]) == "fp32"


def test_a_wrong_export_is_refused() -> None:
    with pytest.raises(ModelError, match="use --engine sentence-transformers"):
        choose([replace(FP32, cosine_min=0.99), W8])


def test_the_table_marks_the_choice() -> None:
    text = table(Comparison("the rule", "32 questions", (FP32, replace(W8, chosen=True), INT8)))
    assert [line.endswith("chosen") for line in text.splitlines()] == [0, 0, 1, 0, 0]
    assert "only on CPUs with 8-bit dot products" in text


def test_labels_that_find_nothing_choose_nothing() -> None:
    lost = replace(FP32, hit_at_1=0.0, recall_at_10=0.1)
    with pytest.raises(ModelError, match=r"\(hit@1 0\).*or publish without --eval"):
        choose([lost, replace(lost, precision="w8", ms=3.0)])


def write_eval(directory: Path, qrels: str, key: str = "id") -> EvalFiles:
    """100 texts, two questions and these labels; ``key`` names the ids."""
    corpus = "".join(f'{{"{key}": "c{n}", "text": "text {n}"}}\n' for n in range(100))
    queries = f'{{"{key}": "a", "text": "one"}}\n{{"{key}": "b", "text": "two"}}\n'
    files = EvalFiles(
        directory / "corpus.jsonl", directory / "queries.jsonl", directory / "qrels.tsv", limit=10
    )
    files.corpus.write_text(corpus)
    files.queries.write_text(queries)
    files.qrels.write_text(qrels)
    return files


@pytest.mark.parametrize("key", ["id", "_id"])
@pytest.mark.parametrize("header", ["query-id\tcorpus-id\tscore\n", ""])
def test_labelled_questions_keep_the_relevant_and_limit_the_rest(
    tmp_path: Path, key: str, header: str
) -> None:
    labelled = read_labelled(write_eval(tmp_path, f"{header}a\tc99\t1\na\tc5\t0\n", key))
    assert labelled.queries == ["one"]
    assert len(labelled.corpus) == 11
    (row,) = labelled.relevant[0]
    assert labelled.corpus[row] == "text 99"


@pytest.mark.parametrize(
    ("qrels", "message"),
    [
        ("a\tc9\t1\nb\tnone\t1\n", r"qrels\.tsv:2: .*corpus\.jsonl has no record with .*'none'"),
        ("a\tc9\t1\nz\tc9\t1\n", r"qrels\.tsv:2: .*queries\.jsonl has no record with .*'z'"),
        ("query-id\tcorpus-id\tscore\n", r"qrels\.tsv has no label with a grade above 0"),
        ("a\tc9\n", r"qrels\.tsv:1: three columns"),
        ("a\tc9\t1\na\tc9\tyes\n", r"qrels\.tsv:2: 'yes' is no grade"),
    ],
)
def test_labels_that_meet_nothing_are_named(tmp_path: Path, qrels: str, message: str) -> None:
    files = write_eval(tmp_path, qrels)
    with pytest.raises(CorpusError, match=message):
        read_labelled(files)


def test_a_label_of_a_bad_line_says_so(tmp_path: Path) -> None:
    files = write_eval(tmp_path, "a\tlong\t1\n")
    files.corpus.write_text(json.dumps({"id": "long", "text": "x" * 3000}) + '\n{"text": "y"}')
    with pytest.raises(CorpusError, match=r"'long' \(1 of its lines .*corpus\.jsonl:1: too long"):
        read_labelled(files)


@pytest.mark.parametrize("command", ["publish-model", "evaluate"])
def test_both_commands_end_in_one_line(
    tmp_path: Path, tiny: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write_eval(tmp_path, "a\tc9\t1\nb\t4\t1\n")
    corpus, queries, qrels = map(str, (files.corpus, files.queries, files.qrels))
    arguments = {
        "publish-model": ["--model", str(tiny), "--eval", corpus, queries, qrels],
        "evaluate": ["--model", str(tiny), "--corpus", corpus, "--queries", queries, "--qrels"],
    }[command]
    if command == "evaluate":
        arguments.append(qrels)
    assert main([command, *arguments, "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {qrels}:2: {corpus} has no record with the id '4'"
    )


def test_bad_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('{"text": "good"}\n{"txt": "bad"}\n')
    with pytest.raises(CorpusError, match=r"questions\.jsonl:2: no text"):
        read_sample(path)
    path.write_text("")
    with pytest.raises(CorpusError, match="holds no text"):
        read_sample(path)
    with pytest.raises(CorpusError, match=r"none\.jsonl: no such file"):
        Questions.read(None, tmp_path / "none.jsonl")


def test_built_in_questions_differ() -> None:
    assert len(set(BUILT_IN)) == len(BUILT_IN) >= 30

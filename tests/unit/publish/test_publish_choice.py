from pathlib import Path

import pytest
from msgspec.structs import replace

from app.errors import ModelError
from app.generation.model import Comparison, Measured
from index_builder.publish.compare import choose, table
from index_builder.publish.questions import BUILT_IN, EvalFiles, read_labelled, read_sample

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


def test_labelled_questions_keep_the_relevant_and_limit_the_rest(tmp_path: Path) -> None:
    corpus = "".join(f'{{"id": "c{n}", "text": "text {n}"}}\n' for n in range(100))
    (tmp_path / "c").write_text(corpus)
    (tmp_path / "q").write_text('{"id": "a", "text": "one"}\n{"id": "b", "text": "two"}\n')
    (tmp_path / "r").write_text("query-id\tcorpus-id\tscore\na\tc99\t1\na\tc5\t0\nb\tnone\t1\n")
    labelled = read_labelled(EvalFiles(tmp_path / "c", tmp_path / "q", tmp_path / "r", limit=10))
    assert labelled.queries == ["one"]
    assert len(labelled.corpus) == 11
    (row,) = labelled.relevant[0]
    assert labelled.corpus[row] == "text 99"


def test_bad_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('{"text": "good"}\n{"txt": "bad"}\n')
    with pytest.raises(ModelError, match=r"questions\.jsonl:2: "):
        read_sample(path)
    path.write_text("")
    with pytest.raises(ModelError, match="holds no text"):
        read_sample(path)


def test_built_in_questions_differ() -> None:
    assert len(set(BUILT_IN)) == len(BUILT_IN) >= 30

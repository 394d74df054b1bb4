import json
import sqlite3

import pytest

from app.errors import CorpusError
from index_builder.corpus import ingest as ingesting
from index_builder.corpus.bad_lines import Reason
from index_builder.corpus.document import Document
from index_builder.corpus.ingest import ingest, ingest_documents
from index_builder.corpus.store import read_documents, read_texts


def lines(*documents):
    return "".join(json.dumps(document) + "\n" for document in documents)


@pytest.fixture
def corpus(tmp_path):
    def write(content, name="c.jsonl"):
        path = tmp_path / name
        path.write_text(content)
        return path

    return write


def test_documents_are_numbered_in_the_order_of_the_files(tmp_path, corpus):
    first = corpus(lines({"id": "b", "text": "B", "answer": "x", "metadata": {"z": 1, "a": 2}}))
    second = corpus("two\nthree\n", "d.txt")
    result = ingest([first, second], tmp_path / "work")
    assert (result.count, result.bad, result.notes) == (3, [], [])
    with sqlite3.connect(result.documents) as database:
        rows = list(database.execute("SELECT * FROM documents ORDER BY ordinal"))
    assert rows[0] == (0, "b", "B", "x", '{"a":2,"z":1}')
    assert [(row[0], row[2]) for row in rows] == [(0, "B"), (1, "two"), (2, "three")]
    assert read_texts(result.documents, 1, 3) == ["two", "three"]
    assert next(read_documents(result.documents)).metadata == {"a": 2, "z": 1}


def test_the_digest_is_of_the_content_and_not_of_the_files(tmp_path, corpus):
    table = ingest([corpus("id,text\n1,one\n2,two\n", "t.csv")], tmp_path / "1").digest
    json_lines = ingest(
        [corpus(lines({"id": 1, "text": "one "}, {"id": 2, "text": "two"}))], tmp_path / "2"
    ).digest
    turned = ingest(
        [corpus(lines({"id": 2, "text": "two"}, {"id": 1, "text": "one"}))], tmp_path / "3"
    ).digest
    assert table == json_lines != turned


def test_a_duplicate_id_is_bad_and_listed_with_its_line(tmp_path, corpus):
    path = corpus(
        lines({"id": "a", "text": "1"}, {"id": "b", "text": "2"}, {"id": "a", "text": "3"})
    )
    result = ingest([path], tmp_path / "work", max_bad=0.5)
    assert read_texts(result.documents) == ["1", "2"]
    assert str(result.bad[0]) == f"{path}:3: duplicate id (a)"
    listed = (tmp_path / "work" / "bad_lines.tsv").read_text().splitlines()
    assert listed == ["file\tline\treason\tdetail", f"{path}\t3\tduplicate id\ta"]


def test_a_repeated_text_without_an_id_is_left_out_and_not_bad(tmp_path, corpus):
    result = ingest([corpus("same\nother\nsame \n", "c.txt")], tmp_path / "work", max_bad=0)
    assert (result.count, result.repeats, result.bad_counts) == (2, 1, {})
    assert "1 repeated texts" in result.notes[0]


@pytest.mark.parametrize(("bad", "refused"), [(29, False), (30, True)])
def test_max_bad_is_the_largest_fraction_that_is_accepted(tmp_path, corpus, bad, refused):
    good = [{"text": f"q{n}"} for n in range(100 - bad)]
    path = corpus(lines(*good, *[{}] * bad))
    if not refused:
        assert ingest([path], tmp_path / "w", max_bad=0.29).bad_counts == {Reason.NO_TEXT: 29}
        return
    with pytest.raises(CorpusError) as error:
        ingest([path], tmp_path / "w", max_bad=0.29)
    message = str(error.value)
    assert "30 of 100 lines are bad (30 no text); 29 % are tolerated" in message
    assert f"{path}:71: no text" in message
    assert "--max-bad 0.3" in message
    assert len((tmp_path / "w" / "bad_lines.tsv").read_text().splitlines()) == 31
    assert not (tmp_path / "w" / "documents.sqlite").exists()
    assert ingest([path], tmp_path / "w", max_bad=0.3).count == 70


def test_the_list_in_memory_is_bounded_per_reason(tmp_path, corpus):
    result = ingest([corpus(lines({"text": "a"}, *[{}] * 50))], tmp_path / "w", max_bad=1)
    assert len(result.bad) == 20
    assert result.bad_counts == {Reason.NO_TEXT: 50}


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_corpus_is_refused(tmp_path, corpus, content):
    with pytest.raises(CorpusError, match="no document"):
        ingest([corpus(content)], tmp_path / "w")


def test_what_cannot_be_read_is_refused_before_the_work(tmp_path, corpus):
    good = corpus("a\n", "c.txt")
    with pytest.raises(CorpusError, match=r"gone\.txt: no such file"):
        ingest([good, tmp_path / "gone.txt"], tmp_path / "w")
    with pytest.raises(CorpusError, match="unknown kind"):
        ingest([good, tmp_path / "c.doc"], tmp_path / "w")
    with pytest.raises(CorpusError, match="no corpus file"):
        ingest([], tmp_path / "w")
    with pytest.raises(CorpusError, match="between 0 and 1, not 5"):
        ingest([good], tmp_path / "w", max_bad=5)


def test_the_same_bytes_are_not_read_twice(tmp_path, corpus, monkeypatch):
    path = corpus(lines({"text": "a", "url": 1}, {}, {"text": "b"}))
    first = ingest([path], tmp_path / "w", max_bad=0.5)
    with monkeypatch.context() as patch:
        patch.setattr(ingesting, "read_file", None)
        assert ingest([path], tmp_path / "w", max_bad=0.5) == first
    path.write_text(lines({"text": "changed"}))
    assert ingest([path], tmp_path / "w").count == 1


def test_an_interrupted_reading_leaves_nothing_to_be_reused(tmp_path, corpus, monkeypatch):
    path = corpus("a\nb\n", "c.txt")

    def interrupted(*_arguments):
        yield 1, Document("a", "a")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ingesting, "read_file", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ingest([path], tmp_path / "w")
    assert {file.name for file in (tmp_path / "w").iterdir()} == {"bad_lines.tsv"}
    assert ingest([path], tmp_path / "w").count == 2


def test_ready_documents_are_stored_alike(tmp_path):
    result = ingest_documents([Document("1", "one"), Document("2", "two")], tmp_path / "w")
    assert (result.count, read_texts(result.documents)) == (2, ["one", "two"])
    with pytest.raises(CorpusError, match="two documents have the id '1'"):
        ingest_documents([Document("1", "one"), Document("1", "two")], tmp_path / "w")
    with pytest.raises(CorpusError, match="no document"):
        ingest_documents([], tmp_path / "w")

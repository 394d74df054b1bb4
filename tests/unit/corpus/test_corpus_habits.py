"""Files as people and their tools write them."""

import bz2
import codecs
import io
import json

import pyarrow
import pyarrow.parquet
import pytest
from backports import zstd
from workbooks import workbook

from app.errors import CorpusError
from index_builder.corpus.bad_lines import Fault, Reason
from index_builder.corpus.document import Document
from index_builder.corpus.ingest import ingest
from index_builder.corpus.names import Names, id_of
from index_builder.corpus.readers import read_file
from index_builder.corpus.reading import Reading, Seen


def read(tmp_path, name, content, reading=None):
    """(line, text or reason) of each outcome, and what was assumed."""
    path, seen = tmp_path / name, Seen()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = list(read_file(path, seen, reading=reading))
    return [(line, o.reason if isinstance(o, Fault) else o.text) for line, o in found], str(seen)


def test_a_long_cell_costs_its_row_alone(tmp_path):
    """Lines of the article have commas and quotes; a cell is read to its end."""
    article = "first, line\n" * 20_000 + 'with ""quotes"", too\n' * 10
    long = "x" * 3_000_000
    content = f'text,answer\na,1\nb,"{article}"\nc,"{long}, ""end"\nd,{long}\n"e",4\n'
    found, _ = read(tmp_path, "c.csv", content)
    assert found == [
        (2, "a"), (3, Reason.TOO_LONG), (20014, Reason.TOO_LONG), (20015, Reason.TOO_LONG),
        (20016, "e"),
    ]  # fmt: skip


@pytest.mark.parametrize("size", [131_073, 500_000])
def test_a_cell_over_the_csv_modules_own_limit(tmp_path, size):
    found, _ = read(tmp_path, "c.csv", f'text,answer\na,"{"y, " * (size // 3)}"\nb,1\n')
    assert found == [(2, Reason.TOO_LONG), (3, "b")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.txt", b"one\rtwo\rthree"),
        ("c.txt", b"one\r\ntwo\nthree\r"),
        ("c.txt", "one\ntwo\nthree".encode("utf-16")),
        ("c.csv", b"text,answer,,\none,1,,\ntwo\nthree,3,,,,\n"),
        ("c.csv", b"text\rone\rtwo\rthree\r"),
        ("c.csv", b"sep=;\r\nFrage;Text\r\n1;one\r\n2;two\r\n3;three\r\n"),
        ("c.csv", b"Question;Answer\none;a,b\ntwo;c,d\nthree;e,f\n"),
        ("c.csv", b"question|answer\none|1\ntwo|2\nthree|3\n"),
        ("c.csv", b"question\tanswer\none\t1\ntwo\t2\nthree\t3\n"),
        ("c.csv", b'text, answer\none, "a, b"\n"two", "c"\nthree, d\n'),
        ("c.csv.txt", b"id,text\n1,one\n2,two\n3,three\n"),
        ("c.csv", b"question1,question2\none,two\nthree,three\n"),
        ("c.csv.bz2", bz2.compress(b"TITLE,body\none,1\ntwo,2\nthree,3\n")),
        ("c.txt.zst", zstd.compress(b"one\ntwo\nthree\n")),
        ("c.json", b'[{"text": "one"}, {"text": "two", "x": {"a": [1, 2]}},{"text":"three"}]'),
        ("c.json", b'{"text": "one"}\n{"text":\n "two"}{"text": "three"}'),
        ("c.jsonl", b'{"Question": "one"}\r{"Question": "two"}\r\n{"Question": "three"}'),
    ],
)  # fmt: skip
def test_three_questions(tmp_path, name, content):
    found, assumed = read(tmp_path, name, content)
    assert list(dict.fromkeys(text for _, text in found)) == ["one", "two", "three"], assumed
    assert assumed


def test_a_pretty_printed_array_has_lines(tmp_path):
    records = [{"_id": 5, "text": 'a "[{,'}, {"text": "b\\"}, {"id": 10**20, "text": "c"}, 7]
    found, assumed = read(tmp_path, "c.json", json.dumps(records, indent=2))
    assert [(line, str(text)) for line, text in found] == [
        (2, 'a "[{,'), (6, "b\\"), (9, "wrong type"), (13, "wrong type"),
    ]  # fmt: skip
    assert assumed == "JSON, text from 'text', id from '_id'"


def test_quotes_are_characters_without_quoting(tmp_path):
    content = 'text\tanswer\n"so" he said\t5" pipe\n"open\tx\n'
    found, assumed = read(tmp_path, "c.tsv", content, Reading(quoting="none"))
    assert found == [(2, '"so" he said'), (3, '"open')]
    assert assumed.startswith("TSV, tab between cells, no quoting, text from 'text'")


def test_fields_by_name_and_what_was_seen(tmp_path):
    names = Reading(Names("Frage", "nr", "Antwort"))
    path = tmp_path / "c.csv"
    path.write_text("Nr;FRAGE;antwort;text\n7;why?;so;x\n")
    assert [o for _, o in read_file(path, reading=names)] == [
        Document("7", "why?", "so", {"text": "x"})
    ]
    with pytest.raises(CorpusError, match=r"no Frag; the names here are 'Nr', 'FRAGE'"):
        list(read_file(path, reading=Reading(Names("Frag"))))
    with pytest.raises(CorpusError, match="--answer-field: no column 'a' among 'Nr'"):
        list(read_file(path, reading=Reading(Names("Frage", answer="a"))))
    with pytest.raises(CorpusError, match="a line of text has no names"):
        ingest([tmp_path / "c.txt"], tmp_path / "w", reading=names)
    lines = tmp_path / "c.jsonl"
    lines.write_text('{"frage": "x", "y": 1}\n')
    [(_, fault)] = read_file(lines)
    assert "the names here are 'frage', 'y'; name one with --text-field" in fault.detail


def test_ids_have_two_names():
    assert (id_of({"_id": 3}), id_of({"ID": "x", "_id": 3}), id_of({"t": 1})) == (3, "x", None)


def test_metadata_nested_too_deeply_is_one_bad_line(tmp_path):
    deep = "[" * 300 + "]" * 300
    found, _ = read(
        tmp_path, "c.jsonl", f'{{"text":"a","metadata":{{"m":{deep}}}}}\n{{"text":"b"}}'
    )
    assert [text for _, text in found][1] == "b"
    assert found[0][1] in (Reason.TOO_LONG, Reason.BAD_JSON)


def test_parquet(tmp_path):
    sink = io.BytesIO()
    table = {"_id": [1, 2], "Question": ["one", None], "n": [1.5, 2.5], "tags": [["a"], None]}
    pyarrow.parquet.write_table(pyarrow.table(table), sink)
    path = tmp_path / "c.parquet"
    path.write_bytes(sink.getvalue())
    [(_, first), (_, fault)] = read_file(path)
    assert first == Document("1", "one", None, {"n": 1.5, "tags": ["a"]})
    assert fault.reason is Reason.NO_TEXT


def test_a_workbook(tmp_path):
    content = workbook([["Id", "Question", "Answer"], [7, "one", "eins"], [8, "two"]])
    found, assumed = read(tmp_path, "c.xlsx", content)
    assert found == [(2, "one"), (3, "two")]
    assert assumed.startswith("Excel, sheet 'FAQ', the first of 1, text from 'Question'")


def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "python_calamine", None)
    with pytest.raises(CorpusError, match=r"c\.xlsx: .*needs the package python-calamine"):
        read(tmp_path, "c.xlsx", b"")


def test_what_was_assumed_is_kept_with_what_was_read(tmp_path):
    path = tmp_path / "c.csv"
    path.write_bytes(codecs.BOM_UTF8 + b"Question;Answer\none;1\n")
    expected = ["c.csv: CSV, ';' between cells, text from 'Question', answer from 'Answer'"]
    assert ingest([path], tmp_path / "w").assumed == expected
    assert ingest([path], tmp_path / "w").assumed == expected
    other = ingest([path], tmp_path / "w", reading=Reading(Names(text="answer")))
    assert other.assumed == [
        "c.csv: CSV, ';' between cells, text from 'Answer', answer from 'Answer'"
    ]

import codecs
import csv
import gzip
import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import CorpusError
from app.generation.text import clean
from index_builder.corpus.bad_lines import Fault, Reason
from index_builder.corpus.document import MAX_ANSWER, MAX_TEXT, Document
from index_builder.corpus.fields import id_of_text
from index_builder.corpus.lines import MAX_LINE
from index_builder.corpus.readers import read_file
from index_builder.corpus.reading import Seen


def read(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_file(path))


def texts(outcomes):
    return [outcome.text for _, outcome in outcomes]


def reasons(outcomes):
    return [(line, o.reason if isinstance(o, Fault) else "ok") for line, o in outcomes]


def test_json_lines_give_all_four_fields_and_their_lines(tmp_path):
    line = {
        "id": "a",
        "text": " Why  so\tserious? ",
        "answer": " No\nidea ",
        "metadata": {"n": [1]},
    }
    outcomes = read(tmp_path, "c.jsonl", f'\n{json.dumps(line)}\n\n{{"text": "x", "id": 7}}')
    assert outcomes == [
        (2, Document("a", "Why so serious?", "No\nidea", {"n": [1]})),
        (4, Document("7", "x")),
    ]


def test_whole_numbers_of_metadata_come_back_as_they_went_in(tmp_path):
    numbers = {"n": [2**64 - 1, -(2**63), 10**18], "s": "18446744073709551616"}
    line = json.dumps({"text": "a", "metadata": numbers})
    [(_, document)] = read(tmp_path, "c.jsonl", line)
    assert document.metadata == numbers
    cell = json.dumps(numbers).replace('"', '""')
    [(_, document)] = read(tmp_path, "c.csv", f'text,metadata\na,"{cell}"\n')
    assert document.metadata == numbers
    [(_, fault)] = read(tmp_path, "d.csv", 'text,metadata\na,"{""n"": 18446744073709551616}"\n')
    assert (fault.reason, "64 bits" in fault.detail) == (Reason.BAD_TYPE, True)


# Newer Pythons read so deep, and find that it is no object.
TOO_DEEP = (
    (Reason.BAD_JSON, "nested too deep")
    if sys.version_info < (3, 12)
    else (Reason.BAD_TYPE, "no JSON object")
)


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        (b"{}", Reason.NO_TEXT, ""),
        (b'{"text": null}', Reason.NO_TEXT, ""),
        (b'{"text": " \\u200b\\n"}', Reason.NO_TEXT, ""),
        (b'{"text": 3}', Reason.BAD_TYPE, "text is a number"),
        (b'{"text": ["a"]}', Reason.BAD_TYPE, "text is a list"),
        (b'{"text": "a", "id": true}', Reason.BAD_TYPE, "id is true or false"),
        (b'{"text": "a", "id": "b\\u0000"}', Reason.BAD_TYPE, "cannot be printed"),
        (b'{"text": "a", "id": "' + b"i" * 513 + b'"}', Reason.TOO_LONG, "id has 513"),
        (b'{"text": "a", "answer": 5}', Reason.BAD_TYPE, "answer is a number"),
        (b'{"text": "a", "metadata": "m"}', Reason.BAD_TYPE, "metadata is a string"),
        (b'["a"]', Reason.BAD_TYPE, "no JSON object"),
        (b'{"text": "a"', Reason.BAD_JSON, "column"),
        (b'{"text": "\\ud800"}', Reason.BAD_JSON, ""),
        (b'{"text": NaN}', Reason.BAD_JSON, ""),
        (b'{"text": "a", "metadata": {"n": 18446744073709551616}}', Reason.BAD_TYPE, "20 digits"),
        (b'{"text": "a", "metadata": {"n": [-9223372036854775809]}}', Reason.BAD_TYPE, "64 bits"),
        (b'{"text": "a", "metadata": {"n": ' + b"9" * 300 + b"}}", Reason.BAD_TYPE, "64 bits"),
        (b'{"text": "a", "id": 18446744073709551616}', Reason.BAD_TYPE, "write it as a string"),
        (b"[" * 1010 + b"1" * 19 + b"]" * 1010, *TOO_DEEP),
        (b'{"text": "\xff"}', Reason.BAD_UTF8, "byte 11 is 0xff"),
        (b'{"text": "' + b"a" * MAX_LINE + b'"}', Reason.TOO_LONG, "line or record has over"),
        (b'{"text": "' + b"a" * (MAX_TEXT + 1) + b'"}', Reason.TOO_LONG, "2,001 characters"),
        (b'{"text": "a", "answer": "' + b"a" * 40_000 + b'"}', Reason.TOO_LONG, "answer has"),
        (
            b'{"text": "a", "metadata": {"m": "' + b"a" * MAX_ANSWER + b'"}}',
            Reason.TOO_LONG,
            "metadata",
        ),
    ],
)
def test_a_bad_json_line_has_its_reason_and_leaves_the_next_alone(tmp_path, line, reason, detail):
    outcomes = read(tmp_path, "c.jsonl", line + b'\n{"text": "fine"}\n')
    number, fault = outcomes[0]
    assert (number, fault.reason) == (1, reason)
    assert detail in fault.detail
    assert outcomes[1] == (2, Document(id_of_text("fine"), "fine"))


def test_a_text_of_exactly_the_longest_length_is_good(tmp_path):
    assert texts(read(tmp_path, "c.txt", "a" * MAX_TEXT)) == ["a" * MAX_TEXT]


def test_unknown_keys_of_json_lines_are_ignored_and_counted(tmp_path):
    path = tmp_path / "c.ndjson"
    path.write_text('{"text": "a", "url": 1}\n{"text": "b", "url": 2, "x": 3}\n')
    seen = Seen()
    assert [o.metadata for _, o in read_file(path, seen)] == [None, None]
    assert seen.ignored == {"url": 2, "x": 1}


def test_text_is_one_question_a_line(tmp_path):
    outcomes = read(tmp_path, "c.txt", b"one\r\n\r\n  \ntwo \xe2\x80\x8b\n\xff\nthree")
    assert reasons(outcomes) == [(1, "ok"), (4, "ok"), (5, Reason.BAD_UTF8), (6, "ok")]
    assert outcomes[1][1].text == "two"


def test_csv_rows_may_span_lines_and_keep_their_line_numbers(tmp_path):
    content = 'ID, Text ,answer,url\n1,one,"a\nb",u\n\n2,"t\nw\no",,\n3,three,c,\n'
    assert read(tmp_path, "c.csv", content) == [
        (2, Document("1", "one", "a\nb", {"url": "u"})),
        (5, Document("2", "t w o")),
        (8, Document("3", "three", "c")),
    ]


def test_a_metadata_column_holds_json_and_other_columns_join_it(tmp_path):
    content = 'text\tmetadata\tlang\nhello\t"{""a"": 1}"\ten\nx\t[1]\ten\ny\t{\ten\n'
    outcomes = read(tmp_path, "c.tsv", content)
    assert outcomes[0][1].metadata == {"a": 1, "lang": "en"}
    assert reasons(outcomes[1:]) == [(3, Reason.BAD_TYPE), (4, Reason.BAD_JSON)]


def test_bad_rows_of_a_table_cost_only_themselves(tmp_path):
    content = b'text,answer\na,1,2\nb\n"c"x,1\n\xff,1\n,1\ngood,1\n'
    assert reasons(read(tmp_path, "c.csv", content)) == [
        (2, Reason.BAD_ROW),
        (3, "ok"),
        (4, Reason.BAD_ROW),
        (5, Reason.BAD_UTF8),
        (6, Reason.NO_TEXT),
        (7, "ok"),
    ]


def test_every_line_that_an_open_quote_swallows_is_bad(tmp_path):
    outcomes = read(tmp_path, "c.csv", 'text\na\n"b\nc\nd\n')
    assert reasons(outcomes) == [(2, "ok"), *[(n, Reason.BAD_ROW) for n in (3, 4, 5)]]
    assert "begins at line 3" in outcomes[1][1].detail


@pytest.mark.parametrize("name", ["c.jsonl", "c.csv", "c.tsv", "c.txt"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_byte_order_mark_and_gzip_are_seen_through(tmp_path, name, packed):
    plain = {"c.jsonl": '{"text": "é"}\n'}.get(name, "é\n" if name == "c.txt" else "text\né\n")
    content = codecs.BOM_UTF8 + plain.encode()
    name, content = (f"{name}.gz", gzip.compress(content)) if packed else (name, content)
    assert texts(read(tmp_path, name, content)) == ["é"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.pdf", b"", "unknown kind of corpus"),
        ("c.gz", b"", "unknown kind of corpus"),
        (
            "c.csv",
            b"frage,antwort\n",
            "no text or question or .*'frage', 'antwort'; name one with --text-field",
        ),
        ("c.csv", b"text,Text\n", "'text' is there twice"),
        ("c.csv", b"text,\xff\n", "names of the columns"),
        ("c.txt.gz", b"not gzip", "damaged gzip"),
        ("c.txt.gz", gzip.compress(b"a\n" * 9999, mtime=0)[:-12], "damaged gzip"),
        ("c.txt", "question".encode("utf-16-le"), "save it as UTF-8"),
        ("c.txt", "question".encode("utf-32"), "save it as UTF-8"),
        ("c.txt", "question".encode("utf-16")[:-1], "damaged utf-16"),
        ("c.txt.bz2", b"not bzip2", "cannot be read|damaged"),
        ("c.txt.zst", b"not zstd", "damaged Zstandard"),
        ("c.xlsx", b"no zip", "damaged .xlsx"),
        ("c.parquet", b"no parquet", "damaged .parquet"),
        ("c.xlsx.gz", b"", "unknown kind of corpus"),
        ("c.json", b'[{"text": "a"}, {"text": ', "never closed"),
    ],
)
def test_an_unreadable_file_is_refused_by_name(tmp_path, name, content, message):
    with pytest.raises(CorpusError, match=rf"{name}: .*{message}|{name}: {message}"):
        read(tmp_path, name, content)


def test_a_missing_file_and_a_directory_are_named(tmp_path):
    with pytest.raises(CorpusError, match=r"none\.txt: no such file"):
        list(read_file(tmp_path / "none.txt"))
    (tmp_path / "d.txt").mkdir()
    with pytest.raises(CorpusError, match=r"d\.txt: cannot be read"):
        list(read_file(tmp_path / "d.txt"))


def test_bytes_read_are_reported_to_the_last(tmp_path):
    path = tmp_path / "c.txt.gz"
    path.write_bytes(gzip.compress(b"question\n" * 10_000))
    seen = []
    list(read_file(path, on_bytes=seen.append))
    assert sum(seen) == path.stat().st_size


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=8))
def test_what_python_writes_as_csv_is_read_back(tmp_path_factory, rows):
    rows = [[c.encode(errors="ignore").decode().replace("\0", "") for c in row] for row in rows]
    sink = io.StringIO()
    csv.writer(sink).writerows([["text", "answer"], *rows])
    outcomes = read(tmp_path_factory.mktemp("csv"), "c.csv", sink.getvalue())
    found = [o.text for _, o in outcomes if isinstance(o, Document)]
    assert found == [clean(text) for text, _ in rows if clean(text)]

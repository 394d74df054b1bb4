"""Whatever bytes a corpus or a file of the course project holds: documents, or a CorpusError.

And no pickle runs anything: an audit hook hears of every file, process, import and compilation.
"""

import codecs
import gzip
import json
import os
import pickle
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import changed_json, damaged, fails_only_with, values

from app.errors import CorpusError
from index_builder.corpus.bad_lines import Fault
from index_builder.corpus.course import read_course
from index_builder.corpus.document import MAX_ANSWER, MAX_ID, MAX_TEXT
from index_builder.corpus.ingest import ingest
from index_builder.corpus.readers import read_file
from index_builder.corpus.reading import Seen
from index_builder.corpus.unpickle import load_numbers

codecs.lookup("raw-unicode-escape")  # or the first pickle of protocol 0 imports it
SOME = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])

GOOD = {
    "corpus.jsonl": b'{"id": "a", "text": "who?", "answer": "me", "metadata": {"n": 1}}\n' * 2,
    "corpus.csv": 'id,text,answer,metadata,url\na,"who ""é""?\n",me,"{""n"": 1}",x\n'.encode(),
    "corpus.tsv": b"text\tanswer\nwho?\tme\nwhat?\t\n",
    "corpus.txt": "who?\n\nwhat é?\n".encode(),
}


@SOME
@given(data=st.data(), packed=st.booleans())
@pytest.mark.parametrize("name", GOOD)
@pytest.mark.slow
def test_a_corpus(tmp_path: Path, name: str, data: st.DataObject, packed: bool) -> None:
    good, path = GOOD[name], tmp_path / (name + ".gz" * packed)
    content = data.draw(damaged(good) | st.binary(max_size=60))
    if packed:
        whole, other = (gzip.compress(plain, mtime=0) for plain in (content, good))
        content = data.draw(st.just(whole) | damaged(other))
    path.write_bytes(content)
    with fails_only_with(CorpusError, path.name, "no document"):
        for number, found in read_file(path, Seen()):
            assert number >= 1
            if not isinstance(found, Fault):
                assert 1 <= len(found.text) <= MAX_TEXT
                assert 1 <= len(found.id) <= MAX_ID
                assert len(found.answer or "") <= MAX_ANSWER
                "".join((found.id, found.text, found.answer or "")).encode()
        ingest([path], tmp_path / "work", max_bad=1.0)


@SOME
@given(line=st.dictionaries(st.sampled_from(["id", "text", "answer", "metadata"]), values))
@pytest.mark.slow
def test_a_line_of_json(tmp_path: Path, line: dict[str, object]) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(json.dumps(line) + "\n" + '{"text": "good"}\n')
    outcomes = list(read_file(path))
    assert len(outcomes) == 2
    assert outcomes[1][1].text == "good"


# --- the course project's files ----------------------------------------------------------------

CLUSTERS = {"0": ["who?", "what?"], "1": ["where?"]}
VECTORS = {text: np.full((1, 4), 0.5, np.float32) for text in ("who?", "what?", "where?")}
CENTRES = {0: np.ones(4), 1: np.arange(4.0)}
heard: list[str] = []
listening = 0  # the thread that is listened to: those of other tests' services sleep and wake


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    harmless = {"object.__getattr__", "object.__setattr__", "object.__delattr__"}
    reads = event == "open" and not int(arguments[2]) & (os.O_WRONLY | os.O_RDWR)
    if listening == threading.get_ident() and event not in harmless and not reads:
        heard.append(f"{event}{arguments}"[:200])


sys.addaudithook(_hear)  # for the rest of the process: Python has no way to take one away


@contextmanager
def nothing_runs() -> Iterator[None]:
    """Fails where Python did more than read files."""
    global listening
    heard.clear()
    listening = threading.get_ident()
    try:
        yield
    finally:
        listening = 0
        assert heard == []


def test_the_hook_hears_what_an_ordinary_pickle_can_do() -> None:
    with pytest.raises(AssertionError, match=r"pickle\.find_class"), nothing_runs():
        pickle.loads(b"cos\nsystem\n(S'true'\ntR.")  # noqa: S301  # what must be heard


@SOME
@given(data=st.data())
@pytest.mark.parametrize("name", ["clusters", "embeddings", "centers"])
@pytest.mark.slow
def test_the_course_files(tmp_path: Path, name: str, data: st.DataObject) -> None:
    protocol = data.draw(st.sampled_from([0, 2, 4, 5]))
    files = {
        "clusters": json.dumps(CLUSTERS).encode(),
        "embeddings": pickle.dumps(VECTORS, protocol),
        "centers": pickle.dumps(CENTRES, protocol),
    }
    change = damaged(files[name])
    if name == "clusters":
        change |= changed_json(CLUSTERS)
    else:
        change |= values.map(lambda value: pickle.dumps(value, protocol))
        change |= st.dictionaries(
            st.sampled_from([*VECTORS, 0, 1]) | st.integers(), values, min_size=1
        ).map(lambda value: pickle.dumps(value, protocol))
    files[name] = data.draw(change)
    paths = {part: tmp_path / part for part in files}
    for part, content in files.items():
        paths[part].write_bytes(content)
    with fails_only_with(CorpusError, str(tmp_path)), nothing_runs():
        course = read_course(paths["clusters"], paths["embeddings"], paths["centers"])
        assert len(course.documents) == len(course.labels)
        for matrix in (course.vectors, course.centres):
            assert matrix is None or np.isfinite(matrix).all()


MODULES = [b"os", b"posix", b"builtins", b"subprocess", b"numpy", b"numpy._core.multiarray",
           b"collections", b"_codecs", b"functools", b"copyreg", b"app.errors"]  # fmt: skip
NAMES = [b"system", b"eval", b"exec", b"open", b"Popen", b"getattr", b"ndarray", b"dtype",
         b"encode", b"_reconstruct", b"scalar", b"OrderedDict", b"bytes"]  # fmt: skip


def text(value: bytes) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value


# Each is one thing that a pickle can do; in a row they are a program.
steps = st.one_of(
    st.tuples(st.sampled_from(MODULES), st.sampled_from(NAMES)).map(
        lambda pair: b"c" + pair[0] + b"\n" + pair[1] + b"\n"
    ),
    st.tuples(st.sampled_from(MODULES), st.sampled_from(NAMES)).map(
        lambda pair: text(pair[0]) + text(pair[1]) + b"\x93"
    ),
    st.tuples(st.sampled_from(MODULES), st.sampled_from(NAMES)).map(
        lambda pair: b"(" + text(b"touch x") + b"i" + pair[0] + b"\n" + pair[1] + b"\n"
    ),
    st.sampled_from([b"touch x", b"f4", b"O8", b"latin1", b"", b"<"]).map(text),
    st.binary(max_size=9).map(lambda value: b"C" + bytes([len(value)]) + value),
    st.integers(-(2**31), 2**31 - 1).map(lambda number: b"J" + struct.pack("<i", number)),
    st.integers(0, 2**32 - 1).map(lambda number: b"r" + struct.pack("<I", number)),
    st.integers(0, 3).map(lambda number: b"h" + bytes([number])),
    st.sampled_from(
        list(b"(.)]}tlduesaR\x81\x92ob0\x85\x86\x87\x94N\x88\x8f\x90\x91Q\x97\x98")
    ).map(lambda code: bytes([code])),
    st.sampled_from(
        [b"\x82\x01", b"\x83\x01\x00", b"Pid\n", b"\x95" + b"\xff" * 8, b"\x8e" + b"\x7f" * 8]
    ),
)


@settings(SOME, max_examples=1500)
@given(program=st.lists(steps, max_size=14).map(b"".join))
@pytest.mark.slow
def test_no_pickle_runs(tmp_path: Path, program: bytes) -> None:
    path = tmp_path / "numbers.pkl"
    path.write_bytes(b"\x80\x04" + program + b".")
    with fails_only_with(CorpusError, str(path)), nothing_runs():
        load_numbers(path)


def test_a_pickle_cannot_ask_for_all_memory(tmp_path: Path) -> None:
    """In C, remembering something under a large number makes room for all smaller ones."""
    path = tmp_path / "numbers.pkl"
    path.write_bytes(b"\x80\x02K\x01r" + struct.pack("<I", 2**31 - 1) + b".")
    assert load_numbers(path) == 1


@pytest.mark.parametrize("step", [b"\x85", b"K\x01\x86", b"K\x01K\x01\x87"])
def test_a_pickle_cannot_nest_tuples_until_python_falls(tmp_path: Path, step: bytes) -> None:
    path = tmp_path / "numbers.pkl"
    path.write_bytes(b"\x80\x04})" + step * 1_000_000 + b"K\x01s.")
    with pytest.raises(CorpusError, match="tuples nested too deeply"):
        load_numbers(path)


@pytest.mark.parametrize("digits", [400, 5000])
@pytest.mark.parametrize(
    "centres", [lambda n: {0: [n] * 4, 1: [1] * 4}, lambda n: {n: [1] * 4, 0: [1] * 4}]
)
def test_a_number_beyond_all_measure_is_refused(tmp_path, digits, centres) -> None:
    clusters, centers = tmp_path / "clusters", tmp_path / "centers"
    clusters.write_text('{"0": ["who?"]}')
    centers.write_bytes(pickle.dumps(centres(10**digits)))
    with fails_only_with(CorpusError, str(centers)):
        read_course(clusters, None, centers)

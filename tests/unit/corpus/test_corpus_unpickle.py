import os
import pickle
import pickletools
import struct
from collections import OrderedDict

import numpy as np
import pytest

from app.errors import CorpusError
from index_builder.corpus.unpickle import as_array, load_numbers


@pytest.fixture
def load(tmp_path):
    def write_and_load(content):
        path = tmp_path / "numbers.pkl"
        path.write_bytes(content)
        return load_numbers(path)

    return write_and_load


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.arange(6, dtype=np.float32).reshape(2, 3).T,
        np.arange(4, dtype=">f8"),
        np.array([1.5, -2], dtype=np.float16),
        np.array([[True, False]]),
        np.empty((0, 4), dtype=np.int64),
        np.float32(2.5),
    ],
)
def test_arrays_of_numbers_come_back_in_every_protocol(load, protocol, array):
    found = load(pickle.dumps({"a": array, "again": [array]}, protocol=protocol))
    assert np.array_equal(as_array(found["a"]), array.astype(np.float32))
    assert np.array_equal(as_array(found["again"])[0], array.astype(np.float32))


def test_the_names_that_numpy_1_wrote_are_admitted(load):
    content = pickle.dumps(np.arange(3.0), protocol=2)
    assert b"numpy._core" in content or b"numpy.core" in content
    for name in (b"numpy.core", b"numpy._core"):
        old = content.replace(b"numpy._core", b"numpy.core").replace(b"numpy.core", name)
        assert as_array(load(old)).tolist() == [0, 1, 2]


def test_plain_containers_come_back(load):
    value = {"a": [1, 2.5, None, True, "é", b"b", (1, 2)], 3: {}, "o": OrderedDict(a=1)}
    assert load(pickle.dumps(value)) == value


class Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("touch {}",), r"posix\.system"),
        (eval, ("open('{}', 'w')",), r"(builtins|__builtin__)\.eval"),
        (exec, ("open('{}', 'w')",), r"(builtins|__builtin__)\.exec"),
        (getattr, ("", "join"), r"(builtins|__builtin__)\.getattr"),
        (np.load, ("{}",), r"numpy\.load"),
        (np.memmap, ("{}",), r"numpy\.memmap"),
        (open, ("{}", "w"), r"(_?io)\.open"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_whatever_else_a_pickle_names_is_refused_by_name(
    tmp_path, load, function, arguments, name, protocol
):
    harm = tmp_path / "harm"
    bomb = Calls(function, *(argument.format(harm) for argument in arguments))
    with pytest.raises(CorpusError, match=f"refused: it names {name}"):
        load(pickle.dumps({"a": np.arange(3.0), "b": bomb}, protocol=protocol))
    assert not harm.exists()


def test_os_system_is_refused_under_its_other_name(load):
    with pytest.raises(CorpusError, match=r"os\.system"):
        load(b"cos\nsystem\n(S'true'\ntR.")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_objects_are_refused(load, protocol):
    with pytest.raises(CorpusError, match="arrays of Python objects are refused"):
        load(pickle.dumps(np.array([{"a": 1}, "b"], dtype=object), protocol=protocol))


@pytest.mark.parametrize(
    "array",
    [
        np.array(["text"]),
        np.array([b"bytes"]),
        np.array([1j]),
        np.array(["2026-01-01"], dtype="M8[D]"),
        np.zeros(2, dtype=[("a", "f4")]),
    ],
)
def test_arrays_of_something_else_than_numbers_are_refused(load, array):
    with pytest.raises(CorpusError, match="numbers only"):
        load(pickle.dumps(array))


def test_a_dtype_with_parts_of_its_own_is_refused(load):
    content = pickletools.optimize(pickle.dumps(np.arange(3.0), protocol=2))
    plain = b"K\x03X\x01\x00\x00\x00<NNN"
    assert plain in content
    with pytest.raises(CorpusError, match="arrays of records"):
        load(content.replace(plain, plain[:-3] + b"X\x01\x00\x00\x00fNN"))


def test_a_shape_that_its_bytes_do_not_fill_is_refused(load):
    content = pickle.dumps(np.zeros(7, dtype=np.uint8), protocol=4)
    with pytest.raises(CorpusError, match="refused: an array of shape"):
        load(content.replace(b"K\x07\x85", b"K\x63\x85"))


def test_pickles_of_scikit_learn_and_tensors_name_what_to_remove(load):
    with pytest.raises(CorpusError, match=r"names sklearn\.cluster\._kmeans\.KMeans"):
        load(b"csklearn.cluster._kmeans\nKMeans\n)\x81.")


@pytest.mark.parametrize(
    "content", [b"", b"no pickle", b"\x80\x05", pickle.dumps([1] * 99)[:-5], b"0.", b"(."]
)
def test_a_damaged_pickle_is_an_error_and_not_a_crash(load, content):
    with pytest.raises(CorpusError, match="damaged, or no pickle"):
        load(content)


def test_an_array_that_is_called_or_never_filled_is_no_array(load):
    with pytest.raises(CorpusError, match="damaged"):
        load(b"cnumpy\nndarray\n(I5\ntR.")
    with pytest.raises(ValueError, match="no array of numbers"):
        as_array(load(b"cnumpy\nndarray\n)\x81."))


def test_bytes_may_be_called_for_no_bytes_only(load):
    with pytest.raises(CorpusError, match="damaged"):
        load(pickle.dumps(Calls(bytes, 10**12), protocol=2))


def test_an_unknown_extension_code_is_refused(load):
    with pytest.raises(CorpusError, match="damaged"):
        load(b"\x82" + struct.pack("B", 7) + b".")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"none\.pkl: no such file"):
        load_numbers(tmp_path / "none.pkl")


@pytest.mark.parametrize("value", ["text", {"a": 1}, None, [[1], [1, 2]], ["a"], {1, 2}])
def test_what_is_no_array_is_said_to_be_none(value):
    with pytest.raises(ValueError, match="no array of numbers"):
        as_array(value)

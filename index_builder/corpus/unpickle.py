"""Read pickles that hold numbers, and refuse every other.

A pickle is a program: whoever wrote it chooses what is called while it is read. Here it may name
a handful of numpy's own constructors and nothing else, and even those are not numpy's: stand-ins
written below take the arguments, check them, and build the array. No code of the file's choosing
runs, and no array of Python objects comes to be.
"""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from app.errors import CorpusError

_NUMBERS = frozenset(["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])


class _Refused(Exception):  # noqa: N818  # it never leaves this module
    """The pickle asks for something that is not admitted; the message says what."""


class _DType:
    """Stands in for numpy.dtype: a kind of number and its byte order."""

    def __init__(self, code: object = None, *_flags: object) -> None:
        name = code.lstrip("<>=|") if isinstance(code, str) else repr(code)
        if name not in _NUMBERS:
            kind = "arrays of Python objects" if name.startswith("O") else f"arrays of {name}"
            raise _Refused(f"{kind} are refused, numbers only")
        self.numpy = np.dtype(name)

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            raise _Refused("an array type of unknown form")
        if any(part is not None for part in state[2:5]):
            raise _Refused("arrays of records are refused, numbers only")
        self.numpy = self.numpy.newbyteorder(state[1])


class _Array:
    """Stands in for numpy.ndarray while its parts are being read."""

    value: NDArray[Any] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise _Refused("an array of unknown form")
        _version, shape, dtype, fortran, data = state
        self.value = _array(data, dtype, shape, "F" if fortran else "C")


def _array(data: object, dtype: object, shape: object, order: str) -> NDArray[Any]:
    if not isinstance(dtype, _DType) or not isinstance(data, bytes | bytearray):
        raise _Refused("an array whose content is not plain bytes")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise _Refused("an array without a shape")
    if math.prod(shape) * dtype.numpy.itemsize != len(data):
        raise _Refused(f"an array of shape {shape} with {len(data)} bytes")
    flat = np.frombuffer(bytes(data), dtype.numpy)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _reconstruct(*_arguments: object) -> _Array:
    return _Array()


def _frombuffer(data: object, dtype: object, shape: object, order: str) -> NDArray[Any]:
    return _array(data, dtype, shape, order)


def _scalar(dtype: object, data: object) -> object:
    return _array(data, dtype, (), "C").item()


def _latin1(text: object, encoding: object = "latin1") -> bytes:
    """How Python 3 writes bytes below protocol 3."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _Refused("_codecs.encode for something else than bytes")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """How Python 3 writes bytes of length zero below protocol 3: a call of `bytes`."""
    return b""


def _admitted() -> dict[tuple[str, str], Callable[..., object]]:
    table: dict[tuple[str, str], Callable[..., object]] = {
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _DType,
        ("_codecs", "encode"): _latin1,
        ("builtins", "bytes"): _no_bytes,
        ("__builtin__", "bytes"): _no_bytes,
        ("collections", "OrderedDict"): OrderedDict,
    }
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray", "_reconstruct"] = _reconstruct
        table[f"{core}.multiarray", "scalar"] = _scalar
        table[f"{core}.numeric", "_frombuffer"] = _frombuffer
    return table


_ADMITTED = _admitted()


# Python hashes tuples in tuples by recursion in C: too deep, and the process is gone.
MAX_DEPTH = 4
_TUPLES = (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3)


def _depth(value: object) -> int:
    return 1 + max(map(_depth, value), default=0) if isinstance(value, tuple) else 0


def _shallow(build: Callable[[Any], None]) -> Callable[[Any], None]:
    """What reads a tuple from a pickle, refusing one that is nested too deeply."""

    def load(unpickler: Any) -> None:
        build(unpickler)
        if _depth(unpickler.stack[-1]) > MAX_DEPTH:
            raise _Refused("tuples nested too deeply")

    return load


# Python's own reader, not the one in C: that makes room for any number a pickle gives to what it
# remembers, and eleven bytes take all memory.
class _Unpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise _Refused(f"it names {module}.{name}; only numpy arrays are admitted") from None

    dispatch: ClassVar = {
        **pickle._Unpickler.dispatch,
        **{code[0]: _shallow(pickle._Unpickler.dispatch[code[0]]) for code in _TUPLES},
    }


def load_numbers(path: Path) -> object:
    """Load a pickle of plain containers, strings, numbers and numpy arrays of numbers.

    Arrays are still wrapped where the pickle's own form asks for it: pass what should be one
    through `as_array`.

    Raises:
        CorpusError: No such file, no pickle, or a pickle that names anything else; naming it.
    """
    try:
        with path.open("rb") as file:
            return _Unpickler(file).load()
    except _Refused as refused:
        raise CorpusError(f"{path}: refused: {refused}") from None
    except FileNotFoundError as error:
        raise CorpusError(f"{path}: no such file") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        raise CorpusError(f"{path}: damaged, or no pickle: {error}") from error


def as_array(value: object) -> NDArray[np.float32]:
    """A value out of `load_numbers`, an array or a list of numbers, as float32.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(value, _Array):
        value = value.value
    if value is None or isinstance(value, str | bytes | dict):
        raise ValueError("no array of numbers")
    if isinstance(value, list | tuple):
        value = [part.value if isinstance(part, _Array) else part for part in value]
    try:
        with np.errstate(over="ignore"):  # what is infinite then is found by its length
            return np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("no array of numbers") from error

"""The wire format between services: raw float32 vectors, a few headers, names of paths."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.errors import ProblemError

OCTETS = "application/octet-stream"
MODEL_HEADER = "Askfleet-Model"
DIM_HEADER = "Askfleet-Dim"
CANARY_HEADER = "Askfleet-Canary"
GENERATION_HEADER = "Askfleet-Generation"
REPLICAS_HEADER = "Askfleet-Replicas"
SLOTS_HEADER = "Askfleet-Slots"
TRIED_HEADER = "Askfleet-Tried"
QUICK_HEADER = "Askfleet-Quick"
REACHED_HEADER = "Askfleet-Reached"
# Which replicas a gateway has asked: for the edge's log, which keeps it from users.
ASKED_HEADER = "Askfleet-Asked"
DEADLINE_HEADER = "Askfleet-Deadline-Ms"
REQUEST_ID_HEADER = "X-Request-ID"
# Where a shard tells and hears what is withdrawn; "have" is the digest of what the caller knows.
WITHDRAWN_PATH = "/withdrawn"
# On a gateway, for its own host alone: a sample of what users asked.
RECORDED_PATH = "/recorded"
# So many characters of ids reach the logs: those of a whole batch (app/gateway/batches.py).
MAX_REQUEST_ID = 16 * 65

type_f32 = np.dtype("<f4")


def vectors_to_bytes(vectors: NDArray[np.float32]) -> bytes:
    """Serialise vectors (n, dim) as little-endian float32, row by row, without a header."""
    return np.ascontiguousarray(vectors, dtype=type_f32).tobytes()


def vectors_from_bytes(body: bytes, dim: int) -> NDArray[np.float32]:
    """Parse a body of n * dim little-endian float32.

    Returns: array of shape (n, dim), n >= 1.
    Raises: ProblemError 400 when the length does not fit or a value is not finite.
    """
    row = dim * type_f32.itemsize
    if not body or len(body) % row:
        raise ProblemError(
            400, "bad_vectors", f"the body has {len(body)} bytes, not a multiple of {row} ({dim}-d)"
        )
    vectors = np.frombuffer(body, dtype=type_f32).reshape(-1, dim)
    if not np.isfinite(vectors).all():
        raise ProblemError(400, "bad_vectors", "the body holds a value that is not finite")
    return vectors


def body_of(vectors: bytes, terms: Sequence[bytes], wanted: str) -> tuple[str, bytes]:
    """A search as HTTP carries it: what its URL says of its body, and the body.

    Behind the vectors are the words of the questions, a MessagePack array of binaries, and the
    filter as UTF-8, where there are any.
    """
    told = ""
    for name, part in (
        ("terms", msgspec.msgpack.encode(terms) if terms else b""),
        ("filter", wanted.encode()),
    ):
        if part:
            told, vectors = f"{told}&{name}={len(part)}", vectors + part
    return told, vectors


def body_parts(body: bytes, terms: int, wanted: int) -> tuple[bytes, tuple[bytes, ...], str]:
    """Vectors, words and filter of a body whose last parts have so many bytes.

    Raises: ProblemError 400 where the words or the filter are unreadable.
    """
    end = max(len(body) - wanted, 0)
    begin = max(end - terms, 0)
    try:
        words = _TERMS.decode(body[begin:end]) if begin < end else ()
    except msgspec.DecodeError as error:
        raise ProblemError(400, "bad_terms", f"the terms are unreadable: {error}") from error
    try:
        return body[:begin], words, body[end:].decode()
    except UnicodeDecodeError as error:
        raise ProblemError(400, "bad_filter", "the filter is not UTF-8", field="filter") from error


_TERMS = msgspec.msgpack.Decoder(tuple[bytes, ...])

"""A question's words as they travel from a gateway to shards: names and weighed trigrams.

One byte: how many names there are, and whether no other shard is asked; 4 bytes for each name; then
3 bytes for each trigram: its bucket and what it weighs. All little-endian.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import ProblemError
from app.generation.names import MAX_NAMES
from app.generation.trigrams import trigrams

_ALONE = 0x80
_RECORD = np.dtype([("bucket", "<u2"), ("weight", "u1")])


def pack_terms(text: str, weights: NDArray[np.uint8], names: Sequence[int]) -> bytes:
    """The terms of a question.

    Args:
        text: the question, folded.
        weights: (65,536,) of the corpus (``trigrams.weights``).
        names: those of its names that a document has, at most ``MAX_NAMES``.
    """
    buckets, _ = trigrams([text])
    records = np.empty(len(buckets), _RECORD)
    records["bucket"], records["weight"] = buckets, weights[buckets]
    known = b"".join(name.to_bytes(4, "little") for name in names)
    return bytes((len(names),)) + known + records.tobytes()


def for_one_shard(terms: bytes) -> bytes:
    """The same, for the only shard that is asked: it sends the answer, and no more."""
    return bytes((terms[0] | _ALONE,)) + terms[1:]


class Unpacked(NamedTuple):
    """Whether no other shard is asked, the names, and buckets of trigrams with their weights."""

    alone: bool
    names: list[int]
    buckets: NDArray[np.uint16]
    weights: NDArray[np.uint8]


def unpack_terms(terms: bytes) -> Unpacked:
    """Read what ``pack_terms`` made."""
    begin = 1 + 4 * (terms[0] & ~_ALONE)
    known = [int.from_bytes(terms[at : at + 4], "little") for at in range(1, begin, 4)]
    records = np.frombuffer(terms, _RECORD, offset=begin)
    return Unpacked(terms[0] >= _ALONE, known, records["bucket"], records["weight"])


def check_terms(terms: Sequence[bytes], count: int) -> None:
    """Check the terms of ``count`` questions that came over a network; raises ProblemError 400."""
    if len(terms) != count:
        raise ProblemError(400, "bad_terms", f"terms of {len(terms)} questions, not of {count}")
    for own in terms:
        count = own[0] & ~_ALONE if own else 0
        left = len(own) - 1 - 4 * count
        if left < 0 or left % _RECORD.itemsize or count > MAX_NAMES:
            raise ProblemError(
                400,
                "bad_terms",
                f"terms are a byte, at most {MAX_NAMES} times 4 bytes, and 3 bytes each",
            )

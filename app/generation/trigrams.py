"""Character trigrams of a text, hashed: what candidates are ordered again by.

Pure functions. Words are what white space separates, punctuation included, without case. Each is
padded by a space on both sides, and no trigram spans two of them. A trigram's hash is one of 65,536
buckets, so that a script of any size costs the same.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.generation.text import MAX_CHARACTERS

BUCKETS = 1 << 16
# Weights are whole numbers in one byte: sums are exact, whatever order they are made in.
WEIGHT_STEPS = 12
# Characters; twice the longest text.
MAX_FOLDED = 2 * MAX_CHARACTERS
_SPACE, _END = 0x20, 0x0A
# Odd numbers whose multiples spread over all bits (those of xxHash and murmur3's finisher).
_FACTORS = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x2C1B3C6D], np.uint32)
_SHIFTS = np.array([15, 16], np.uint32)


def folded(text: str) -> str:
    """The words of a text, without case and compatibility forms, a space around each.

    Compatibility forms may be many times as long; what is beyond ``MAX_FOLDED`` does not count.
    """
    if text.isascii():  # the same, at a fraction of the cost
        text = text.lower()
    else:
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return f" {' '.join(text[:MAX_FOLDED].split())} "


def trigrams(texts: Sequence[str]) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """The buckets of each text, ascending and each once, and how many each text has.

    Args:
        texts: folded.

    Returns: (total,) buckets, text by text; (n,) counts, which add up to the total.
    """
    joined = "\n".join(texts) + "\n"
    codes = np.frombuffer(joined.encode("utf-32-le"), "<u4").astype(np.uint32, copy=False)
    # A word begins and ends with a space, so what spans two words or texts has one in the middle.
    places = np.flatnonzero(codes[1:-1] > _SPACE)
    hashed = _hashed(codes[places], codes[places + 1], codes[places + 2])
    if len(texts) == 1:
        hashed.sort()
        first = np.empty(len(hashed), np.bool_)
        first[:1] = True
        np.not_equal(hashed[1:], hashed[:-1], out=first[1:])
        buckets = hashed[first].astype(np.uint16)
        return buckets, np.array([len(buckets)])
    text_of = np.cumsum(codes == _END)[places + 1]
    keys = np.unique((text_of << 16) + hashed.astype(np.int64))
    return (keys & 0xFFFF).astype(np.uint16), np.bincount(keys >> 16, minlength=len(texts))


def _hashed(
    before: NDArray[np.uint32], middle: NDArray[np.uint32], after: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """The bucket of each three characters. It is a format: sealed generations depend on it."""
    mixed: NDArray[np.uint32] = before * _FACTORS[0]
    mixed += middle * _FACTORS[1]
    mixed += after * _FACTORS[2]
    mixed ^= mixed >> _SHIFTS[0]
    mixed *= _FACTORS[3]
    mixed >>= _SHIFTS[1]
    return mixed


def weights(frequencies: NDArray[np.int64], documents: int) -> NDArray[np.uint8]:
    """What each bucket weighs: its inverse document frequency, in twelfths, 1 to 255.

    Args:
        frequencies: (65,536,) how many documents have it.
        documents: how many there are.
    """
    rarity = np.log((documents + 1) / (frequencies + 0.5))
    weighed: NDArray[np.uint8] = np.clip(np.rint(WEIGHT_STEPS * rarity), 1, 255).astype(np.uint8)
    return weighed

"""Words that look like names: product codes, versions, error numbers.

Vectors cannot tell them apart. Which documents have a rare one is sealed, and those that do join
the candidates, however far their vectors are. A name is known by its CRC-32.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

# Of one question, the first that any document has.
MAX_NAMES = 5
# The rows of a shard, and who has which document, by name. In the order of rows and of documents,
# so that one more changes few bytes.
ROWS = np.dtype([("name", "<u4"), ("row", "<u4")])
HELD = np.dtype([("name", "<u4"), ("ordinal", "<u4"), ("shard", "<u2")])
_HALF, _LAST = np.uint64(32), np.uint64(0xFFFFFFFF)

# Dashes and apostrophes that people, and programs that correct them, write for one another.
_SAME = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-") | {"\u2019": "'"})
# What stands between words without a space: brackets, slashes and the like, a comma that is not
# inside a number, the end of a sentence, and letters of scripts that write no spaces.
_BETWEEN = re.compile(
    r"""[\s/\\:;=&|"<>()\[\]{}!?\u201c\u201d\u2026]|,(?!\d)|(?<!\d),"""
    "|[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)


def names(folded: str) -> list[int]:
    """The words with a digit, or punctuation inside, each once, in their order; as CRC-32.

    Args:
        folded: a text (``trigrams.folded``).
    """
    words = _BETWEEN.split(folded.translate(_SAME))
    found = (_name(word) for word in words if word and not word.isalpha())
    return list(dict.fromkeys(crc32(name.encode()) for name in found if name))


def _name(word: str) -> str:
    """A word without the punctuation around it, and without 's; "" where it is no name.

    + and # stay at its end: they are part of the names of languages.
    """
    begin, end = 0, len(word)
    while begin < end and not _inner(word[begin]):
        begin += 1
    while end > begin and not _inner(word[end - 1]) and word[end - 1] not in "+#":
        end -= 1
    word = word[begin:end].removesuffix("'s")
    return word if any(char.isdigit() or not _inner(char) for char in word) else ""


def _inner(char: str) -> bool:
    """A letter, a digit, or what belongs to the letter before it: marks and joiners."""
    return char.isalnum() or unicodedata.category(char)[0] in "MC"


class Postings:
    """Numbers by name: a shard's rows, or which shards have each of its documents.

    Args:
        names: (n,) uint32.
        numbers: (n,) of each, below 2**32.
    """

    def __init__(self, names: NDArray[np.uint32], numbers: NDArray[Any]) -> None:
        self._entries = np.unique((names.astype(np.uint64) << _HALF) | numbers.astype(np.uint64))

    def numbers(self, name: int) -> list[int]:
        """Those of one name, ascending."""
        first = np.uint64(name) << _HALF
        begin = int(np.searchsorted(self._entries, first))
        end = int(np.searchsorted(self._entries, first + _LAST, side="right"))
        found: list[int] = (self._entries[begin:end] & _LAST).tolist()
        return found


class Holders:
    """Which shards have the documents of a name.

    Args:
        held: (n,) ``HELD``, a row for each copy of a document and each of its names.
    """

    def __init__(self, held: NDArray[Any]) -> None:
        # By column: NumPy sorts rows of several columns with Python's lock held, for seconds.
        order = np.lexsort((held["shard"], held["ordinal"], held["name"]))
        name, ordinal, shard = (held[column][order] for column in ("name", "ordinal", "shard"))
        new_name = np.append(True, name[1:] != name[:-1])[: len(held)]
        new_document = new_name | np.append(True, ordinal[1:] != ordinal[:-1])[: len(held)]
        # Documents are numbered from 0 for each name.
        number = np.cumsum(new_document) - 1
        number -= np.maximum.accumulate(np.where(new_name, number, 0))
        self._postings = Postings(name, number << 16 | shard)

    def shards(self, name: int) -> list[list[int]]:
        """The shards that store each of a name's documents, ascending."""
        by_document: dict[int, list[int]] = {}
        for number in self._postings.numbers(name):
            by_document.setdefault(number >> 16, []).append(number & 0xFFFF)
        return list(by_document.values())

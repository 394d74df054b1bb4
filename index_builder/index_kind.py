"""Which FAISS index a shard gets: by what was asked for, and by the shard's own vectors."""

from __future__ import annotations

import re

import faiss
import numpy as np
from numpy.typing import NDArray

from app.errors import BuildError

FLAT = "Flat"
# Up to this many vectors a shard, exact search costs a tenth of a hop (docs/performance.md).
FLAT_LIMIT = 2_000
IVF_LIMIT = 500_000
MAX_LISTS = 65_536
MAX_BITS = 12

_KIND = re.compile(
    r"(?:IVF(?P<lists>\d{1,5}),)?"
    r"(?:Flat|PQ\d{1,4}(?:x(?P<bits>\d{1,2})(?:fs)?)?|SQ(?:4|6|8|fp16)|HNSW(?P<links>\d{1,3}))"
    r"(?:,(?:RFlat|Refine\((?:Flat|SQ(?:4|6|8|fp16))\)))?",
    re.ASCII,
)
_LISTS = re.compile(r"IVF\d\d+")  # one list is another family
FAMILIES = (
    "Flat, PQ…, PQ…x4fs, SQ4, SQ6, SQ8, SQfp16 or HNSW…, with IVF…, before and "
    ",RFlat or ,Refine(SQ…) behind"
)
# By a rule's name: what small shards are, and by what a large one scores its candidates again. In
# half precision a score differs from float32's in the fifth digit, and copies of a document score
# the same in every shard. In 8 bits each shard has a scale of its own. ``before`` is what ``auto``
# was up to builder 7.
RULES = {
    "auto": ("SQfp16", "Refine(SQfp16)"),
    "lean": ("SQfp16", "Refine(SQ8)"),
    "before": (FLAT, "RFlat"),
}
BY_SIZE = ("auto", "lean")


def check_kind(wanted: str, dim: int | None = None) -> None:
    """Raises BuildError when ``--index`` is nothing that can be built for vectors of ``dim``.

    Without ``dim`` the form alone is checked.
    """
    if wanted == "exact" or wanted in BY_SIZE:
        return
    parts = _KIND.fullmatch(wanted)
    if parts is None:
        raise BuildError(f"--index {wanted!r}: use auto, lean, exact, or {FAMILIES}")
    lists, bits, links = (int(parts[name] or 4) for name in ("lists", "bits", "links"))
    if not 1 <= lists <= MAX_LISTS or not 1 <= bits <= MAX_BITS or not 4 <= links <= 128:
        raise BuildError(
            f"--index {wanted!r}: use 1 to {MAX_LISTS:,} lists (IVF), 1 to {MAX_BITS} bits (PQ) "
            "and 4 to 128 links (HNSW)"
        )
    if dim is not None:
        try:
            faiss.index_factory(dim, wanted, faiss.METRIC_INNER_PRODUCT)
        except RuntimeError as error:
            raise BuildError(
                f"--index {wanted!r}: FAISS cannot make it for vectors of {dim} dimensions "
                f"({reason(error)})"
            ) from error


def choose_kind(vectors: NDArray[np.float32], wanted: str, *, filtered: bool = False) -> str:
    """The FAISS factory string for the shard that holds ``vectors`` (n, dim).

    ``filtered``: whether searches may have filters. ``wanted`` is auto, lean, exact, or a factory
    string that ``check_kind`` has passed. A shard with fewer distinct vectors than its index needs
    for training is as a small one; empty, Flat.
    """
    count, dim = vectors.shape
    small = FLAT
    if wanted in BY_SIZE:
        kind = kind_by_size(count, dim, wanted, filtered=filtered)
        small = RULES[wanted][0] if count else FLAT
    else:
        kind = FLAT if wanted == "exact" else wanted
    return kind if distinct(vectors, training(kind)) else small


def kind_by_size(count: int, dim: int, rule: str = "auto", *, filtered: bool = False) -> str:
    """What a rule of RULES means for ``count`` vectors that differ enough.

    FastScan takes filters in lists only: one list of all costs 8 bytes a row more (decision 44).
    """
    small, refined = RULES[rule]
    if count <= FLAT_LIMIT or dim % 4:
        return small
    codes = f"PQ{dim // 4}x4fs,{refined}"
    if count <= IVF_LIMIT:
        return f"IVF1,{codes}" if filtered else codes
    return f"IVF{int(4 * count**0.5)},{codes}"


def same_family(one: str, other: str) -> bool:
    """Whether two kinds differ in numbers at most, as IVF lists do when a shard grows."""
    return _LISTS.sub("IVF", one) == _LISTS.sub("IVF", other)


def training(kind: str) -> int:
    """How many distinct vectors an index of this kind needs for training, at least 1."""
    lists = re.search(r"IVF(\d+)", kind)
    codes = re.search(r"PQ\d+(?:x(\d+))?", kind)
    return max(int(lists[1]) if lists else 1, 2 ** int(codes[1] or 8) if codes else 1)


def distinct(vectors: NDArray[np.float32], wanted: int) -> bool:
    """Whether at least ``wanted`` of the rows differ from each other."""
    if len(vectors) < wanted:
        return False
    seen: set[bytes] = set()
    for row in vectors:
        seen.add(row.tobytes())
        if len(seen) >= wanted:
            return True
    return False


def reason(error: RuntimeError) -> str:
    """What FAISS says, without its function and file."""
    said = " ".join(str(error).split())
    return said.rsplit(" failed: ", 1)[-1].rsplit("Error: ", 1)[-1]

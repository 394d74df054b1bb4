"""Transformers as a graph over packed tokens: many texts a pass, each with the bits it has alone.

The tokens of all texts lie one behind the other, without padding. Whatever works on a token alone
(products, norms, activations) works on them so; the products are of integers with fixed scales, so
their sums are exact however many rows there are. Attention alone needs each text in a row of its
own. Those rows are as long as the text rounded up to STEP, which depends on this text only, and
texts of one length share a pass; places behind a text's end repeat its own first token, and weigh
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import ModelError
from app.generation.engines.base import Prepared, TextEngine
from app.generation.engines.onnx import load_tokenizer, onnx_session
from app.generation.engines.table import PASS
from app.generation.model import REMEDY, TOKENIZER, Model, Prompts, Side, Variant

# Places of attention come in so many; vectors of every CPU are as long or divide it.
STEP = 16
# Places of one pass: what a pass needs of memory grows with them, by 45 kB each. All of PASS texts
# fit up to 32 tokens, two of the longest.
PLACES = 512
# Added to the score of a place that is no token's. exp(-60) of a weight is lost in float32, and
# unlike exp(-1000) it is no denormal number, which would take CPUs four times as long.
HIDDEN = -60.0
# How a graph says which of its token vectors make a text's.
POOLING = "pooling"
POOLINGS = ("mean", "cls")


@dataclass(frozen=True, slots=True)
class Tokens:
    """The token ids of a text behind its prompt, and how many of them pooling leaves out."""

    ids: list[int]
    unpooled: int


class PackedEngine(TextEngine):
    """A graph from packed token ids to token vectors, run by ONNX Runtime; pooled here."""

    largest = PASS

    def __init__(
        self, session: Any, tokenizer: Any, fingerprint: str, dim: int, prompts: Prompts
    ) -> None:
        super().__init__(fingerprint, dim, prompts)
        self._session = session
        self._tokenizer = tokenizer
        self._pooling = session.get_modelmeta().custom_metadata_map.get(POOLING)
        if self._pooling not in POOLINGS:
            raise ModelError(f"the graph's pooling is {self._pooling!r}, not mean or cls: {REMEDY}")

    def most(self, group: int) -> int:
        """As many texts as fit PLACES, 1 to ``largest``."""
        return max(1, min(self.largest, PLACES // group))

    def prepare(self, text: str, side: Side) -> Prepared:
        """The token ids of a text; its group is their number, rounded up to STEP."""
        prompt = self._prompts.of(side)
        ids = self._tokenizer.encode(prompt.text + text).ids
        return Prepared(-(-len(ids) // STEP) * STEP, Tokens(ids, prompt.unpooled))

    def run(self, texts: Sequence[Prepared]) -> NDArray[np.float32]:
        """One pass: unit vectors (len(texts), dim)."""
        tokens: list[Tokens] = [text.content for text in texts]
        (hidden,) = self._session.run(None, packed([one.ids for one in tokens], texts[0].group))
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        end = 0
        for row, one in enumerate(tokens):
            start, end = end, end + len(one.ids)
            if self._pooling == "cls":
                vector = hidden[start]
            else:
                vector = hidden[start + one.unpooled : end].sum(axis=0)
            # one by one: how numpy splits a sum may depend on the number of rows
            vectors[row] = vector / np.sqrt(np.sum(vector * vector))
        return vectors


def packed(texts: Sequence[Sequence[int]], length: int) -> dict[str, NDArray[Any]]:
    """The graph's inputs for texts of at most ``length`` tokens each.

    ids, positions: (tokens,) int64. slots: (texts * length,) int64, the token at each place of
    attention. rows: (tokens,) int64, the place of each token. mask: (texts, 1, 1, length) float32,
    0 for tokens and HIDDEN elsewhere.
    """
    counts = np.array([len(ids) for ids in texts], dtype=np.int64)[:, None]
    starts = np.cumsum(counts)[:, None] - counts
    places = np.arange(length, dtype=np.int64)
    filled = places < counts
    rows = np.flatnonzero(filled)
    return {
        "ids": np.concatenate([np.asarray(ids, dtype=np.int64) for ids in texts]),
        "positions": rows % length,
        "slots": (starts + np.where(filled, places, 0)).ravel(),
        "rows": rows,
        "mask": np.where(filled, np.float32(0), np.float32(HIDDEN))[:, None, None, :],
    }


def open_artefact(directory: Path, model: Model, variant: Variant, threads: int) -> PackedEngine:
    """Open an artefact's graph and tokenizer; raises ModelError."""
    tokenizer = load_tokenizer(directory / TOKENIZER, model.max_tokens)
    session = packed_session(directory / variant.file, threads)
    return PackedEngine(session, tokenizer, model.fingerprint, model.dim, model.sides)


def packed_session(graph: Path, threads: int = 1) -> Any:
    """A session without a fusion that ONNX Runtime runs four times slower than its parts."""
    return onnx_session(graph, threads, without=("SkipLayerNormFusion",))

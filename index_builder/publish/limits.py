"""The longest text that a model really takes, and texts about that length."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from app.errors import ModelError
from app.generation.engine import Engine
from app.generation.model import Side
from index_builder.publish.one_line import first_line

# The longest text that an encoder takes, in characters. Attention over more would only cost memory.
CHARACTERS = 8000
WORD = "a"
UNIT = 1e-3


def text_of(words: int) -> str:
    """So many words of one token each, or as many as an encoder takes."""
    return " ".join([WORD] * min(words, (CHARACTERS + 1) // 2))


def texts_about(limit: int, own: int) -> list[str]:
    """Texts just below, at, just above and far above ``limit`` tokens.

    ``own`` are the tokens that every text has beside its words: special ones and the prompt.
    """
    words = max(2, limit - own)
    return [text_of(count) for count in (words - 1, words, words + 1, 2 * words)]


def longest(declared: int, least: int, takes: Callable[[int], Exception | None]) -> int:
    """The greatest limit up to ``declared`` with which a model takes a text of that many tokens.

    Args:
        declared: what the model says, in tokens.
        least: the smallest limit that makes sense.
        takes: tries a limit; returns what the model raised.

    Raises: ModelError when even ``least`` fails.
    """
    if takes(declared) is None:
        return declared
    error = takes(least)
    if error is not None:
        raise ModelError(f"the model cannot encode a text of {least} tokens: {first_line(error)}")
    good, bad = least, declared
    while bad - good > 1:
        middle = (good + bad) // 2
        if takes(middle) is None:
            good = middle
        else:
            bad = middle
    return good


def encode_checked(engine: Engine, texts: Sequence[str], side: Side) -> NDArray[np.float32]:
    """Encode texts about the limit with what will be sealed.

    Raises: ModelError when one fails, or its vector is not of unit length.
    """
    rows = []
    for text in texts:
        what = f"the artefact cannot encode a text of {len(text.split())} words as a {side}"
        try:
            vector = engine.encode([text], side)[0]
        except Exception as error:  # an engine's runtime raises kinds of its own
            raise ModelError(f"{what}: {first_line(error)}") from error
        if not abs(float(np.linalg.norm(vector)) - 1) < UNIT:  # so that NaN fails
            raise ModelError(f"{what}: its vector is not of unit length")
        rows.append(vector)
    return np.stack(rows)

"""What the documents of a sample are like: lengths and languages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache

import numpy as np
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from app.generation.rows import Row
from index_builder.report.figures import Texts
from index_builder.report.sampled import evenly

BARS = 16
STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
# The bars cover so many of the documents; what is longer shares one.
COVERED = 0.98
# Texts whose language is guessed, and how much of each is read.
GUESSED, READ = 1000, 500
# Below, a guess is none: a short text of names is in any language.
SURE = 0.5


def measured(documents: Sequence[Row]) -> Texts:
    """The figures of documents, at least one."""
    lengths = np.array([len(row.text) for row in documents])
    most = float(np.quantile(lengths, COVERED))
    step = next((step for step in STEPS if step * BARS >= most), STEPS[-1])
    bars = np.bincount(np.minimum(lengths // step, BARS), minlength=BARS + 1)
    some = [row.text for row in evenly(documents, GUESSED)]
    return Texts(
        documents=len(documents),
        answered=sum(row.answer is not None for row in documents),
        median=int(np.median(lengths)),
        longest=int(lengths.max()),
        step=step,
        lengths=tuple(bars.tolist()),
        languages=dict(Counter(map(language, some)).most_common()),
    )


def language(text: str) -> str:
    """The ISO code of a text's language, as guessed; "" where that is unsure."""
    code, sure = _identifier().classify(text[:READ])
    return str(code) if sure >= SURE and code != "zxx" else ""


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

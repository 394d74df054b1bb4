"""How sure an answer is: the probability that the first result means the same as the question.

A logistic regression on what a gateway knows of an answer, fitted for one generation from labels
(index_builder/confidence.py). No single score can say it: what is near in one corpus is far in
another.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from app.generation.manifest_parts import Confidence


class Features(NamedTuple):
    """What is known of an answer.

    Attributes:
        score: of the first result.
        margin: how much better its key is than that of the second.
        lexical: how much of the question's words it has.
        reverse: how much of its words the question has.
        least: the lowest score among the candidates that words have ordered.
    """

    score: float
    margin: float
    lexical: float
    reverse: float
    least: float


def probability(model: Confidence, features: Features) -> float:
    """0 to 1, rounded to 4 digits."""
    logit = model.intercept
    for weight, value in zip(model.weights, features, strict=True):
        logit += weight * value
    if logit < 0:
        return round(math.exp(logit) / (1 + math.exp(logit)), 4)
    return round(1 / (1 + math.exp(-logit)), 4)

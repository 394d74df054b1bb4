"""The probability of an answer, by its formula."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.generation.confidence import Features, probability
from app.generation.manifest_parts import FEATURES, Confidence


def model(intercept: float, *weights: float) -> Confidence:
    return Confidence(200, intercept, weights, ())


def test_it_is_the_logistic_function_of_the_weighed_features() -> None:
    one = model(-3.0, 4.0, 2.0, 1.0, 0.5, -1.0)
    features = Features(0.9, 0.1, 0.5, 0.4, 0.3)
    logit = -3.0 + 4 * 0.9 + 2 * 0.1 + 0.5 + 0.5 * 0.4 - 0.3
    assert probability(one, features) == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-4)
    assert len(Features._fields) == FEATURES


@given(st.floats(-1e6, 1e6))
def test_it_is_a_probability_however_large_the_weights_are(intercept: float) -> None:
    found = probability(model(intercept, 0, 0, 0, 0, 0), Features(1, 1, 1, 1, 1))
    assert 0 <= found <= 1
    assert (found >= 0.5) == (intercept > -1e-3) or abs(intercept) < 1e-3

"""The vectors that growth is measured with: the same for a seed, new, and like what they copy."""

import numpy as np
import pytest
from numpy.typing import NDArray
from synthetic import CHUNK, Recipe, best_scores, fit, repeated


def clustered(count: int, seed: int) -> NDArray[np.float32]:
    """Unit vectors around a few centres."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(10, 16))
    vectors = centres[rng.integers(0, 10, count)] + 0.5 * rng.normal(size=(count, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


REAL = clustered(2000, 0)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return fit(REAL, 1)


def drawn(recipe: Recipe, count: int) -> NDArray[np.float32]:
    return np.concatenate(list(recipe.documents(count)))


def test_the_same_seed_gives_the_same_vectors_and_a_larger_corpus_begins_with_them(
    recipe: Recipe,
) -> None:
    many = drawn(recipe, CHUNK + 10)
    assert many.shape == (CHUNK + 10, 16)
    assert np.array_equal(drawn(fit(REAL, 1), 300), many[:300])
    assert not np.array_equal(drawn(fit(REAL, 2), 300), many[:300])


def test_vectors_have_length_1_and_none_repeats_not_even_as_a_question(recipe: Recipe) -> None:
    everything = np.concatenate([drawn(recipe, 2 * CHUNK), recipe.questions(500), REAL])
    assert everything.dtype == np.float32
    assert np.allclose(np.linalg.norm(everything, axis=1), 1, atol=1e-5)
    assert repeated(everything) == 0


def test_repeats_are_found() -> None:
    assert repeated(np.concatenate([REAL, REAL[:3]])) == 3


def test_neighbours_are_about_as_near_as_real_ones(recipe: Recipe) -> None:
    real = best_scores(REAL[200:], REAL[:200])
    made = best_scores(drawn(recipe, 1800), recipe.questions(200))
    for name, quantiles in real.items():
        assert np.allclose(quantiles, made[name], atol=0.08), (name, quantiles, made[name])

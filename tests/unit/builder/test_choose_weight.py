"""How much words count is measured on labels."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from test_labels import NOTHING, QUESTIONS, build_with

from app.generation.manifest_parts import Rescoring
from index_builder.choose_weight import USUAL, WEIGHTS, best_of
from index_builder.replay import Replay
from index_builder.summary import summary

AT_USUAL = WEIGHTS.index(USUAL)


def rights(count: int, **shares: float) -> np.ndarray:
    """(weights, count): the first ones of each weight are right, half of them by default."""
    share = [shares.get(f"at_{at}", 0.5) for at in range(len(WEIGHTS))]
    return (np.arange(count) < np.array(share)[:, None] * count).astype(np.float64)


def test_a_weight_that_is_clearly_better_is_taken() -> None:
    assert best_of(rights(200, at_5=0.55)) == 5
    assert best_of(rights(200, at_0=0.55, at_1=0.6)) == 1


def test_a_difference_that_chance_makes_changes_nothing() -> None:
    assert best_of(rights(200)) == AT_USUAL
    assert best_of(rights(200, at_5=0.505)) == AT_USUAL  # one question of 200


@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_what_is_taken_is_never_worse_on_the_labels(count: int, seed: int) -> None:
    right = np.random.default_rng(seed).integers(0, 2, (len(WEIGHTS), count)).astype(np.float64)
    assert right[best_of(right)].mean() >= right[AT_USUAL].mean()


def test_labels_choose_the_weight_and_the_generation_tells_all(tmp_path: Path) -> None:
    # By words the right document is "... of N", by score any stranger may be: fakes know no words.
    asked = [(f"of {n} reset the bank I how do", f"d{2 * n + 1:04}", True) for n in range(60)]
    built = build_with(tmp_path, [*asked, *QUESTIONS, *NOTHING])
    rescoring = built.manifest.routing.rescoring
    assert rescoring is not None
    assert rescoring.labels == len(asked) + len(QUESTIONS)
    assert [row.weight for row in rescoring.measured] == list(WEIGHTS)
    gave = {row.weight: row.hit_at_1 for row in rescoring.measured}
    assert gave[rescoring.weight] >= gave[USUAL]
    again = Replay(built.directory).manifest.routing.rescoring
    assert again == rescoring
    said = summary(built.manifest, True, built.directory, [])
    assert f"weight     {USUAL:g}: the first answer is right for {gave[USUAL]:.1%} of" in said


def test_a_weight_that_is_given_is_kept(tmp_path: Path) -> None:
    built = build_with(tmp_path, [*QUESTIONS, *NOTHING], rescore_weight=0.1)
    assert built.manifest.routing.rescoring == Rescoring(0.1, 50, 20)

"""Fit how sure an answer is, from labelled questions, for one generation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import BuildError
from app.generation.confidence import Features
from app.generation.manifest_parts import Confidence, ConfidenceRow
from app.generation.rescoring import Rescorer
from index_builder.document_rows import DocumentRows
from index_builder.labels import Labelled
from index_builder.searched import Candidates, Searched

PRECISIONS = (0.8, 0.9, 0.95)
FOLDS = 5
LEAST_OF_A_KIND = 10
# Where fewer of the labelled questions have no right document, more are made: by taking it away.
OWN_NEGATIVES = 0.2


@dataclass(frozen=True, slots=True)
class Examples:
    """Answers with what they are known by, whether the first is right, and whose they are.

    Attributes:
        features: (n, 5).
        right: (n,) booleans.
        questions: (n,) the number of the labelled question.
    """

    features: NDArray[np.float64]
    right: NDArray[np.bool_]
    questions: NDArray[np.int64]


def examples(
    searched: Searched,
    rescorer: Rescorer,
    rows: DocumentRows,
    labels: Sequence[Labelled],
    vectors: NDArray[np.float32],
) -> Examples:
    """Ask each labelled question, and again without its right documents where few have none.

    Args:
        searched: the generation.
        rescorer: its words.
        rows: its documents.
        labels: the questions.
        vectors: (n, dim) theirs.
    """
    fitting = sum(bool(one.right) for one in labels)
    made = len(labels) - fitting < OWN_NEGATIVES * len(labels)
    found: list[tuple[Features, bool, int]] = []
    depth = rescorer.rescoring.depth
    for number, (one, vector) in enumerate(zip(labels, vectors, strict=True)):
        terms = rescorer.terms(one.question)

        def ask(more: int, vector: NDArray[np.float32] = vector, terms: Any = terms) -> Candidates:
            return searched.with_words(rescorer, terms, vector[None], depth + more, 2 + more)

        first, features = _first(rescorer, rows, one.question, ask(0))
        judged = one.judged(first)
        if judged is not None:
            found.append((features, judged, number))
        if made and one.right:
            left = ask(len(one.right)).without(one.right)
            if len(left.places):
                _, features = _first(rescorer, rows, one.question, left)
                found.append((features, False, number))
    return Examples(
        np.array([features for features, _, _ in found], np.float64),
        np.array([right for _, right, _ in found], np.bool_),
        np.array([number for _, _, number in found], np.int64),
    )


def _first(
    rescorer: Rescorer, rows: DocumentRows, question: str, found: Candidates
) -> tuple[int, Features]:
    """The place of the first result, and what is known of the answer."""
    ranking = rescorer.rank(found.pool, 1)
    place = int(found.places[ranking.positions[0]])
    text = rows.get([place])[0].text
    return place, rescorer.features(question, text, found.pool, ranking)


def fit(known: Examples) -> Confidence:
    """A logistic regression, and what it gives, by cross-validation over questions.

    Raises: BuildError where all answers are right, or none is.
    """
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    right = known.right
    good, bad = int(right.sum()), int((~right).sum())
    if min(good, bad) < LEAST_OF_A_KIND:
        raise BuildError(
            f"--labels: of the first results {good} are right and {bad} are not, at least "
            f"{LEAST_OF_A_KIND} of each are needed: label more questions of the rarer kind"
        )
    model = _regression()
    guessed = cross_val_predict(
        model,
        known.features,
        right,
        groups=known.questions,
        cv=StratifiedGroupKFold(FOLDS),
        method="predict_proba",
    )[:, 1]
    model.fit(known.features, right)
    scaler, regression = model[0], model[1]
    weights = regression.coef_[0] / scaler.scale_
    intercept = float(regression.intercept_[0] - (weights * scaler.mean_).sum())
    return Confidence(
        labels=len(np.unique(known.questions)),
        intercept=round(intercept, 6),
        weights=tuple(round(float(weight), 6) for weight in weights),
        table=tuple(_row(guessed, right, precision) for precision in PRECISIONS),
    )


def _regression() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression())


def _row(guessed: NDArray[np.float64], right: NDArray[np.bool_], precision: float) -> ConfidenceRow:
    """The lowest bound whose answers are expected to have this precision.

    What they are expected to have is the mean of their probabilities: it varies less than the
    share of right ones among a few hundred.
    """
    order = np.argsort(-guessed, kind="stable")
    sure = guessed[order]
    expected = np.cumsum(sure) / np.arange(1, len(sure) + 1)
    enough = np.flatnonzero(expected >= precision)
    if not len(enough):
        return ConfidenceRow(precision, 1.0, 0.0)
    last = int(enough[-1])
    answered = float((right[order][: last + 1]).sum() / max(right.sum(), 1))
    return ConfidenceRow(precision, round(float(sure[last]), 4), round(answered, 4))

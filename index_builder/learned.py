"""What a build learns from labels: the weight of words, how sure it is, what answers gain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import BuildError
from app.generation.manifest_parts import Confidence
from index_builder import confidence
from index_builder.also_gain import hits_at_1
from index_builder.choose_weight import choose_weight
from index_builder.document_rows import DocumentRows
from index_builder.labels import Labelled, read_labelled
from index_builder.progress import Progress
from index_builder.searched import Searched
from index_builder.texts import Texts


@dataclass(frozen=True, slots=True)
class Learner:
    """Labelled questions; all that it tells is as without labels where there are none.

    Attributes:
        labels: the questions.
        rows: the documents.
        progress: told what is done.
    """

    labels: list[Labelled]
    rows: DocumentRows
    progress: Progress

    @classmethod
    def read(
        cls, path: Path | None, rows: DocumentRows, progress: Progress, *, words: bool
    ) -> Learner:
        """Read a file of labels (labels.py), before anything takes long.

        Raises: BuildError where the generation has no ``words``; CorpusError naming what is wrong.
        """
        if path is None:
            return cls([], rows, progress)
        if not words:
            raise BuildError("--labels needs words: leave --rescore-weight 0 out")
        labels, gone = read_labelled(path, rows)
        if gone:
            progress.say(f"{gone} labels name documents that the corpus lacks: left out")
        return cls(labels, rows, progress)

    def vectors(self, encode: Callable[[list[str]], NDArray[np.float32]]) -> NDArray[np.float32]:
        """The vectors (n, dim) of the questions."""
        if not self.labels:
            return np.empty((0, 0), np.float32)
        return encode([one.question for one in self.labels])

    def weigh(self, searched: Searched, asked: NDArray[np.float32]) -> Searched:
        """The same with the weight of words that the labels choose."""
        if not self.labels or searched.rescorer is None:
            return searched
        self.progress.say("measuring how much words should count")
        chosen = choose_weight(searched, searched.rescorer, self.labels, asked)
        return replace(searched, rescorer=replace(searched.rescorer, rescoring=chosen))

    def confidence(self, searched: Searched, asked: NDArray[np.float32]) -> Confidence | None:
        """How sure an answer is; None without labels."""
        if not self.labels or searched.rescorer is None:
            return None
        self.progress.say("fitting how sure an answer is")
        return confidence.fit(
            confidence.examples(searched, searched.rescorer, self.rows, self.labels, asked)
        )

    def gain(
        self,
        searched: Searched,
        asked: NDArray[np.float32],
        vectors: NDArray[np.float32],
        texts: Texts,
    ) -> tuple[int, float, float]:
        """What answers that are searched too gain; see ``also_gain.hits_at_1``."""
        return hits_at_1(self.labels, asked, vectors, texts, self.rows, searched.rescorer)

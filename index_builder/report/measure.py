"""Measure what a report says, on a generation that is sealed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.generation.engine import open_engine
from app.generation.manifest import Manifest
from app.generation.model import Model
from app.generation.routing import Router
from app.generation.rows import Row
from index_builder.evaluate import chosen_row
from index_builder.replay import Replay
from index_builder.report import texts
from index_builder.report.asked import answers, near_duplicates, scores_of
from index_builder.report.figures import VERSION, AsRead, Base, Figures
from index_builder.report.map import clusters_of
from index_builder.report.sampled import draw, evenly

# Questions that are asked, and those that have to be encoded first.
ASKED, ENCODED = 1000, 400


@dataclass(frozen=True, slots=True)
class Known:
    """What a build knows beyond what it sealed.

    Attributes:
        reading: of the corpus.
        model: the artefact's directory.
        questions: real ones, if any.
        base: the directory of the generation that was built on.
    """

    reading: AsRead | None = None
    model: Path | None = None
    questions: Sequence[str] = ()
    base: Path | None = None


class _Asked(NamedTuple):
    """Questions: what they are, (n, dim) vectors, and the ids of the documents they are, or ""."""

    what: Literal["questions", "documents"]
    vectors: NDArray[np.float32]
    own: list[str]


def measure(directory: Path, manifest: Manifest, known: Known) -> Figures:
    """The figures of a sealed generation; raises GenerationError where it is damaged."""
    sample = draw(directory, manifest)
    also = manifest.routing.also
    what, near, scores, base = "", None, None, None
    if sample.vectors is not None:
        places = evenly(sample.documents, ASKED)
        documents = [sample.rows[place] for place in places]
        alone = _Asked("documents", sample.vectors[places], [row.id for row in documents])
        replay = Replay(directory)
        found = answers(replay, alone.vectors, alone.own)
        near = near_duplicates(documents, found)
        asked = _asked(known, documents) or alone
        if asked is not alone:
            found = answers(replay, asked.vectors, asked.own)
        what, scores = asked.what, scores_of(found)
        base = None if known.base is None else _base(known.base, asked)
    return Figures(
        version=VERSION,
        generation=manifest.id,
        reading=known.reading,
        texts=texts.measured([sample.rows[place] for place in sample.documents]),
        whole=sample.whole,
        own=sample.own,
        clusters=clusters_of(
            sample,
            Router.load(directory, manifest),
            also.texts if also else manifest.documents,
        ),
        asked=what,
        scores=scores,
        near=near,
        base=base,
    )


def _asked(known: Known, documents: Sequence[Row]) -> _Asked | None:
    """Real questions, or documents as a model of two sides asks them; None for neither."""
    if known.model is None:
        return None
    if known.questions:
        engine, some = open_engine(known.model), known.questions[:ENCODED]
        return _Asked("questions", engine.encode(some, "query"), [""] * len(some))
    if Model.load(known.model).two_sided:
        engine, rows = open_engine(known.model), evenly(documents, ENCODED)
        encoded = engine.encode([row.text for row in rows], "query")
        return _Asked("documents", encoded, [row.id for row in rows])
    return None


def _base(directory: Path, asked: _Asked) -> Base:
    manifest = Manifest.load(directory)
    chosen = chosen_row(manifest.routing)
    return Base(
        id=manifest.id,
        documents=manifest.documents,
        stored=manifest.stored,
        bytes=sum(shard.memory_bytes for shard in manifest.shards),
        fan_out=chosen.fan_out,
        recall_at_1=chosen.recall_at_1,
        recall_at_10=chosen.recall_at_10,
        scores=scores_of(answers(Replay(directory), asked.vectors, asked.own)),
    )

"""corpus + model -> sealed generation, on one screen."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.generation import canary, files, shard_index
from app.generation.engine import open_engine
from app.generation.file_names import shard_dir
from app.generation.manifest import Manifest
from app.generation.manifest_parts import AlsoSearched, ModelRef, ShardInfo, StorageRow
from app.generation.model import Model
from app.generation.routing import CENTROIDS, CLUSTER_SHARD, Router
from app.generation.shard_index import ShardIndex
from index_builder import evaluate
from index_builder.base import Base
from index_builder.canaries import answer_canaries, make_canaries
from index_builder.choose_weight import USUAL
from index_builder.document_rows import DocumentRows
from index_builder.encoded import encoded
from index_builder.filter_routing import choose_filters
from index_builder.filterable import Filterable
from index_builder.filtered import Filtered, filtered_canaries
from index_builder.index_kind import check_kind, choose_kind
from index_builder.inputs import Inputs, inputs_hash, remaining
from index_builder.layout import Layout, lay_out, lay_out_on
from index_builder.learned import Learner
from index_builder.progress import Progress
from index_builder.seal import Contents, existing, seal
from index_builder.searched import Searched
from index_builder.settings import Settings
from index_builder.shard_files import weighed, write_shards
from index_builder.storage import Placed, bytes_of, choose_storage
from index_builder.texts import Texts
from index_builder.without import leave_out
from index_builder.words import Words
from index_builder.workers import HERE, SMALL, Workers


def build(
    inputs: Inputs,
    settings: Settings,
    out: Path,
    work: Path,
    workers: Workers,
    progress: Progress,
) -> tuple[Manifest, bool]:
    """Build and seal a generation, or find the one that the same inputs made before.

    Returns: its manifest, and whether it is new.
    Raises: AskfleetError of the step that failed; ``out`` is as before then.
    """
    out.mkdir(parents=True, exist_ok=True)
    model = Model.load(inputs.model)
    made_by = ModelRef(model.fingerprint, model.name, model.dim)
    check_kind(settings.index, model.dim)
    base = None if inputs.base is None else Base(inputs.base, made_by, settings.shards)
    left = leave_out(inputs.corpus, inputs.without)
    if left.note:
        progress.say(f"withdrawn: {left.note}")
    whole, inputs = inputs.corpus, remaining(inputs, left)
    made_of = inputs_hash(inputs, settings, model.fingerprint, base, left.ids)
    if found := existing(out, made_of):
        return found, False

    if whole.count <= SMALL:
        workers = HERE
    rows = DocumentRows(inputs.corpus.documents)
    weight = settings.rescore_weight
    learner = Learner.read(inputs.labelled, rows, progress, words=weight != 0)
    filterable = None
    if settings.filterable:
        filterable = Filterable.read(settings.filterable, rows.metadata())
    vectors, texts = encoded(
        whole, left, inputs.model, work, workers, progress,
        vectors=inputs.vectors, answers=bool(settings.also_search),
    )  # fmt: skip
    ask = _as_questions(inputs, model, vectors, rows)
    sample = _sample(inputs, vectors, texts, ask, settings, workers)
    progress.say("clustering")
    layout = _layout(inputs, vectors, texts, settings, base, sample, workers)

    with files.sealing(out) as unfinished:
        (unfinished / "routing").mkdir()
        words = None
        if weight != 0:
            words = Words(unfinished, texts.documents, USUAL if weight is None else weight)
        shards = write_shards(
            unfinished, vectors, layout, rows, settings, base, words, filterable, workers, progress
        )
        indexes = [
            ShardIndex.load(
                unfinished / shard_dir(info.shard) / shard_index.NAME,
                dim=model.dim,
                count=info.documents,
                rank=layout.ordinals(info.shard).__getitem__,
                several=bool(settings.also_search),
            )
            for info in shards
        ]
        progress.say("measuring recall against exact search")
        routing = evaluate.choose_routing(
            sample,
            evaluate.found_by(sample, indexes, layout.stored),
            evaluate.masses_of(sample, layout.centroids, layout.cluster_shard, settings.shards),
            settings.targets,
        )
        router = Router(
            layout.centroids,
            layout.cluster_shard,
            settings.shards,
            routing.temperature,
            routing.neighbours,
            routing.threshold,
        )
        filters = None
        if filterable is not None:
            progress.say("measuring recall under filters")
            filterable.write_routing(
                unfinished, layout.clusters, texts.owners, len(layout.centroids)
            )
            filters = choose_filters(
                filterable, vectors, layout, sample, settings.targets, settings.seed, workers
            )
        np.save(unfinished / CENTROIDS, layout.centroids, allow_pickle=False)
        np.save(unfinished / CLUSTER_SHARD, layout.cluster_shard, allow_pickle=False)
        named = all(index.scores_rows for index in indexes)
        rescorer = words.finish(named=named) if words else None
        own = words.of_shards([info.documents for info in shards], named=named) if words else []
        shards = tuple(weighed(unfinished, info) for info in shards)
        searched = Searched(layout, router, indexes, own, rescorer)
        asked = learner.vectors(lambda texts: open_engine(inputs.model).encode(texts, "query"))
        if weight is None:
            searched = learner.weigh(searched, asked)
        confidence = learner.confidence(searched, asked)
        also = None
        if settings.also_search:
            gain = learner.gain(searched, asked, vectors, texts)
            also = _also(settings.also_search, layout, shards, gain)
        canaries = make_canaries(rows, ask, searched)
        if also is not None:
            engine = open_engine(inputs.model)
            canaries += answer_canaries(rows, lambda asked: engine.encode(asked, "query"), searched)
        if filters is not None:
            filtered = Filtered.read(unfinished, filters, searched, shards)
            canaries += filtered_canaries(rows, ask, filtered)
        canary.write(unfinished / canary.NAME, canaries)
        progress.say("sealing")
        contents = Contents(
            inputs_hash=made_of,
            model=made_by,
            documents=texts.documents,
            clusters=len(layout.centroids),
            shards=shards,
            routing=msgspec.structs.replace(
                routing,
                storage=layout.storage,
                rescoring=searched.rescorer.rescoring if searched.rescorer else None,
                confidence=confidence,
                filters=filters,
                also=also,
            ),
            canaries=len(canaries),
            withdrawn=left.ids,
            absent=tuple(sorted(inputs.without.difference(left.ids))),
        )
        return seal(unfinished, out, contents), True


def _also(
    field: Literal["answer"],
    layout: Layout,
    shards: tuple[ShardInfo, ...],
    gain: tuple[int, float, float],
) -> AlsoSearched:
    """What searching a field costs; ``gain`` is of ``hits_at_1``."""
    texts = layout.texts
    answers = [int(np.count_nonzero(texts.answers[own])) for own in layout.stored]
    taken = sum(
        info.memory_bytes * count // max(info.documents, 1)
        for info, count in zip(shards, answers, strict=True)
    )
    return AlsoSearched(field, len(texts.owners), sum(answers), taken, gain[0], gain[1:])


def _layout(
    inputs: Inputs,
    vectors: NDArray[np.float32],
    texts: Texts,
    settings: Settings,
    base: Base | None,
    sample: evaluate.Sample,
    workers: Workers,
) -> Layout:
    given = settings.storage
    measured: tuple[StorageRow, ...] = ()
    if given is None and base is not None and settings.bytes_per_document is None:
        also = base.manifest.routing.also
        given = base.manifest.stored / (also.texts if also else base.manifest.documents)
        measured = base.manifest.routing.storage

    def choose(
        placed: Placed, centroids: NDArray[np.float32], cluster_shard: NDArray[np.int32]
    ) -> tuple[float, tuple[StorageRow, ...]]:
        if given is not None or settings.shards == 1:
            return given or 1.0, measured
        mean = vectors[: max(len(vectors) // settings.shards, 1)]
        return choose_storage(
            placed,
            sample,
            evaluate.masses_of(sample, centroids, cluster_shard, settings.shards),
            settings.targets,
            bytes_of(choose_kind(mean, settings.index), vectors.shape[1]),
            settings.bytes_per_document,
        )

    if base is not None:
        base.open()
        return lay_out_on(base, vectors, texts, inputs.corpus, choose=choose, workers=workers)
    return lay_out(
        vectors,
        texts,
        inputs.labels,
        inputs.centres,
        shards=settings.shards,
        choose=choose,
        seed=settings.seed,
        workers=workers,
    )


def _as_questions(
    inputs: Inputs, model: Model, vectors: NDArray[np.float32], rows: DocumentRows
) -> evaluate.AsQuestions:
    """How documents are asked: by their own vectors, unless questions are encoded differently."""
    if not model.two_sided:
        return lambda places: np.ascontiguousarray(vectors[places])
    engine = open_engine(inputs.model)
    return lambda places: engine.encode([row.text for row in rows.get(places.tolist())], "query")


def _sample(
    inputs: Inputs,
    vectors: NDArray[np.float32],
    texts: Texts,
    ask: evaluate.AsQuestions,
    settings: Settings,
    workers: Workers,
) -> evaluate.Sample:
    if not inputs.questions:
        return evaluate.leave_one_out(vectors, texts, ask, settings.sample, settings.seed, workers)
    asked = open_engine(inputs.model).encode(inputs.questions[: settings.sample])
    return evaluate.questions(vectors, texts, asked, workers)

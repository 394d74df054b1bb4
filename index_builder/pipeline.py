"""corpus + model -> sealed generation, on one screen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.errors import BuildError
from app.generation import canary, documents, files, shard_index
from app.generation.engine import open_engine
from app.generation.file_names import shard_dir
from app.generation.files import sha256_of
from app.generation.manifest import SCHEMA, STORES, Manifest
from app.generation.manifest_parts import AlsoSearched, ModelRef, ShardInfo, StorageRow
from app.generation.model import Model
from app.generation.routing import CENTROIDS, CLUSTER_SHARD, Router
from app.generation.shard_index import ShardIndex
from index_builder import evaluate
from index_builder.base import Base
from index_builder.canaries import answer_canaries, make_canaries
from index_builder.choose_weight import USUAL
from index_builder.corpus.ingest import Ingested
from index_builder.document_rows import DocumentRows
from index_builder.encoded import encoded
from index_builder.filter_routing import choose_filters
from index_builder.filterable import Filterable, Kind
from index_builder.filtered import Filtered, filtered_canaries
from index_builder.handed import Handed
from index_builder.index_kind import check_kind, choose_kind
from index_builder.layout import Layout, lay_out, lay_out_on
from index_builder.learned import Learner
from index_builder.progress import Progress
from index_builder.seal import Contents, existing, seal
from index_builder.searched import Searched
from index_builder.shards import built_shard
from index_builder.storage import Placed, bytes_of, choose_storage
from index_builder.texts import Texts
from index_builder.trained import Trained
from index_builder.without import Left, leave_out
from index_builder.words import Words
from index_builder.workers import HERE, SMALL, Workers

BUILDER = 12
"""Raised when the same inputs are to give another generation."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What shapes a generation, beside corpus and model.

    Attributes:
        shards: how many.
        index: auto, lean, exact, or a FAISS factory string (``index_kind.check_kind``).
        storage: stored documents over documents, at most; 1 means no border copies; None measures
            what each amount gives, or keeps the base's.
        bytes_per_document: the most bytes of vectors of one document, copies included, that None
            may choose; None for the default (``storage.choose_storage``).
        recall_at_1: target against exact search.
        recall_at_10: target against exact search.
        rescore_weight: of the words of a question beside its score; 0 orders by score alone; None
            measures it on the labels, or takes the usual one (``choose_weight``).
        filterable: metadata fields that a search may filter by (``filterable.wanted_fields``).
        also_search: a field that is searched beside the question, or "".
        sample: questions to measure with.
        seed: of everything random.
    """

    shards: int
    index: str = "auto"
    storage: float | None = None
    bytes_per_document: float | None = None
    recall_at_1: float = 0.995
    recall_at_10: float = 0.987
    rescore_weight: float | None = None
    filterable: tuple[tuple[str, Kind | None], ...] = ()
    also_search: Literal["", "answer"] = ""
    sample: int = 2000
    seed: int = 1

    @property
    def targets(self) -> tuple[float, float]:
        """Recall@1 and recall@10."""
        return self.recall_at_1, self.recall_at_10


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a build starts from; see ``build``.

    ``labels``, ``vectors`` and ``centres`` come from course-project files; ``questions`` are real
    ones to measure recall with, instead of leaving documents out one at a time. ``base`` is a
    sealed generation whose clusters, placement and rows are kept. ``labelled`` is a file of labels
    (labels.py), to fit how sure an answer is. ``without`` are ids of documents to leave out.
    """

    corpus: Ingested
    model: Path
    questions: tuple[str, ...] = ()
    labels: NDArray[np.int32] | None = None
    vectors: NDArray[np.float32] | None = None
    centres: NDArray[np.float32] | None = None
    base: Path | None = None
    labelled: Path | None = None
    without: frozenset[str] = frozenset()


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
    whole, inputs = inputs.corpus, _left(inputs, left)
    inputs_hash = _inputs_hash(inputs, settings, model.fingerprint, base, left.ids)
    if found := existing(out, inputs_hash):
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
        shards = _write_shards(
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
        shards = tuple(_weighed(unfinished, info) for info in shards)
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
            inputs_hash=inputs_hash,
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


def _left(inputs: Inputs, left: Left) -> Inputs:
    """The same of what is left of the corpus."""
    if left.places is None:
        return inputs
    labels, vectors, centres = inputs.labels, inputs.vectors, inputs.centres
    if vectors is not None:
        vectors = vectors[left.places]
    if labels is not None:  # a cluster without documents is none
        kept, renumbered = np.unique(labels[left.places], return_inverse=True)
        labels = np.asarray(renumbered, np.int32)
        centres = None if centres is None else centres[kept]
    return replace(inputs, corpus=left.corpus, labels=labels, vectors=vectors, centres=centres)


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


def _write_shards(
    unfinished: Path,
    vectors: NDArray[np.float32],
    layout: Layout,
    rows: DocumentRows,
    settings: Settings,
    base: Base | None,
    words: Words | None,
    filterable: Filterable | None,
    workers: Workers,
    progress: Progress,
) -> tuple[ShardInfo, ...]:
    """Write each shard; its index is built while the documents of the next ones are written."""

    def calls() -> Iterator[tuple[Handed, str, int, Trained | None, bool]]:
        for shard, places in enumerate(layout.stored):
            part = unfinished / shard_dir(shard)
            part.mkdir()
            documents_at, ordinals = layout.documents(shard), layout.ordinals(shard)
            stream = rows.stream(documents_at, ordinals, layout.texts.answers[places])
            documents.write(part / STORES[SCHEMA], stream)
            if words is not None:
                words.write(part, documents_at, ordinals, rows.texts(documents_at))
            if filterable is not None:
                filterable.write_shard(part, documents_at)
            yield (
                workers.hand(vectors, places),
                settings.index,
                settings.seed,
                None if base is None else base.trained(shard),
                filterable is not None,
            )

    infos = {}
    total = sum(map(len, layout.stored))
    with progress.bar("indexing", total, "documents") as bar:
        for shard, (index, kind, recall, exact) in workers.each(built_shard, calls(), ahead=1):
            (unfinished / shard_dir(shard) / shard_index.NAME).write_bytes(index.data)
            infos[shard] = ShardInfo(
                shard=shard,
                documents=len(layout.stored[shard]),
                clusters=tuple(np.flatnonzero(layout.cluster_shard == shard).tolist()),
                index_kind=kind,
                exact=exact,
                recall=recall,
                memory_bytes=0,  # known when all of its files are written
            )
            bar.update(len(layout.stored[shard]))
    return tuple(infos[shard] for shard in sorted(infos))


def _weighed(unfinished: Path, info: ShardInfo) -> ShardInfo:
    part = unfinished / shard_dir(info.shard)
    size = sum(path.stat().st_size for path in part.iterdir())
    return msgspec.structs.replace(info, memory_bytes=size)


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


def _inputs_hash(
    inputs: Inputs,
    settings: Settings,
    fingerprint: str,
    base: Base | None,
    withdrawn: tuple[str, ...],
) -> str:
    digest = hashlib.sha256()
    parts = [str(BUILDER), inputs.corpus.digest, fingerprint, *inputs.questions]
    shape = asdict(settings)
    for name in ("filterable", "also_search"):  # as before there were such settings
        if not shape[name]:
            del shape[name]
    parts.append(msgspec.json.encode(shape).decode())
    if inputs.labelled is not None:
        parts.append(f"labels {sha256_of(inputs.labelled)}")
    if base is not None:
        parts.append(f"base {base.manifest.content_hash}")
    parts += [f"without {name}" for name in withdrawn]
    digest.update("\n".join(parts).encode())
    for array in (inputs.labels, inputs.vectors, inputs.centres):
        digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def check_settings(settings: Settings) -> None:
    """Raises BuildError for a setting outside its range."""
    if not 1 <= settings.shards <= 1000:
        raise BuildError(f"--shards {settings.shards}: use 1 to 1000")
    if settings.storage is not None and not 1.0 <= settings.storage <= 3.0:
        raise BuildError(f"--storage {settings.storage}: use auto, or 1.0 (no copies) to 3.0")
    limit = settings.bytes_per_document
    if limit is not None and not limit > 0:
        raise BuildError(f"--bytes-per-document {limit:g}: use a number above 0")
    if limit is not None and settings.storage is not None:
        raise BuildError("--bytes-per-document is a limit for --storage auto: leave one out")
    for name, value in (("1", settings.recall_at_1), ("10", settings.recall_at_10)):
        if not 0.5 <= value <= 1.0:
            raise BuildError(f"--recall-at-{name} {value}: use 0.5 to 1.0")
    weight = settings.rescore_weight
    if weight is not None and not 0.0 <= weight <= 2.0:
        raise BuildError(f"--rescore-weight {weight}: use auto, or 0 (off) to 2.0")
    if settings.sample < 1:
        raise BuildError(f"--sample {settings.sample}: use at least 1")
    check_kind(settings.index)

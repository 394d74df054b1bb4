"""The model artefact: what turns text into vectors, sealed in one directory with a fingerprint.

``model.json`` is written last; a directory without it is unfinished. The fingerprint covers what
determines vectors (the files and how they are used), not what is recorded about them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import msgspec

from app.errors import ModelError
from app.generation.engines.table import ENGINES
from app.generation.files import FileInfo, check, check_size

SCHEMA = 1
NAME = "model.json"
TOKENIZER = "tokenizer.json"
FINGERPRINT_PATTERN = re.compile(r"[0-9a-f]{16}")
REMEDY = "publish the model again (python -m index_builder publish-model) or stage it again"

Side = Literal["query", "document"]


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One form of the model.

    ``file`` is relative to the artefact (a directory for sentence-transformers); ``requires`` are
    CPU flags as in /proc/cpuinfo, one of which the host must have; none means any host will do.
    """

    file: str
    precision: str
    requires: tuple[str, ...] = ()


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is put before each text of one side.

    ``unpooled`` is how many tokens at the start (special tokens counted) the pooling of an ONNX
    graph leaves out: the prompt's, where the model was trained so, else 0.
    """

    text: str = ""
    unpooled: int = 0


class Prompts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The prompts of the two sides: questions, and the documents that they are compared with."""

    query: Prompt = Prompt()
    document: Prompt = Prompt()

    def of(self, side: Side) -> Prompt:
        """The prompt of one side."""
        return self.query if side == "query" else self.document


NO_PROMPTS = Prompts()


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A text and the vectors that the publisher got for it: the self-query of a starting encoder.

    ``vector`` is that of a question; ``document`` that of a document, empty unless the model has
    two sides.
    """

    text: str
    vector: tuple[float, ...]
    document: tuple[float, ...] = ()


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One candidate's row of the comparison table.

    ``ms`` is the median CPU time of one short question on one thread; cosines are to the reference
    (sentence-transformers in fp32, or the package's own encoder); hit@1 and recall@10 are None
    without labelled questions. ``ms_together`` is that of a question in a pass of eight, for
    engines whose texts share passes, and is sealed with artefacts of such an engine only: earlier
    releases read the others, and do not know it.
    """

    engine: str
    precision: str
    ms: float
    cosine_mean: float
    cosine_min: float
    megabytes: float
    hit_at_1: float | None
    recall_at_10: float | None
    portable: bool
    chosen: bool
    ms_together: float | None = None


class Comparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the precision was chosen: the table, the rule in words, and on which questions."""

    rule: str
    questions: str
    rows: tuple[Measured, ...]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was asked of the publisher; the same request again returns the same artefact.

    ``evidence`` is the sha256 of the questions measured on, None for the built-in ones.
    """

    source: str
    engine: str
    precision: str
    evidence: str | None


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A sealed model artefact.

    ``dim`` is the length of a vector, ``max_tokens`` where texts are cut (special tokens counted).
    ``prefix`` is put before each text, of both sides. A model that encodes questions and documents
    differently, or leaves its prompt out of pooling, has ``prompts`` instead. They are not written
    for other models, so earlier releases read those.
    """

    schema: int
    fingerprint: str
    name: str
    revision: str
    dim: int
    max_tokens: int
    prefix: str
    engine: str
    variants: tuple[Variant, ...]
    files: dict[str, FileInfo]
    probe: Probe
    comparison: Comparison
    request: Request
    prompts: Prompts | None = None

    @property
    def sides(self) -> Prompts:
        """The prompt of each side."""
        return self.prompts or Prompts(Prompt(self.prefix), Prompt(self.prefix))

    @property
    def two_sided(self) -> bool:
        """Whether the same text may have another vector as a question than as a document."""
        return self.prompts is not None

    @classmethod
    def load(cls, directory: Path) -> Model:
        """Read and check ``model.json`` and that its files are there; raises ModelError."""
        path = directory / NAME
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelError(
                f"{directory} is not a sealed model artefact: {NAME}: {error.strerror}: {REMEDY}"
            ) from error
        try:
            model = msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ModelError(f"{path} is not valid: {error}: {REMEDY}") from error
        model._check(directory)
        return model

    def _check(self, directory: Path) -> None:
        def require(condition: bool, fault: str) -> None:
            if not condition:
                raise ModelError(f"{directory / NAME}: {fault}: {REMEDY}")

        require(self.schema == SCHEMA, f"schema {self.schema}, this release reads {SCHEMA}")
        known = ", ".join(ENGINES)
        require(self.engine in ENGINES, f"engine {self.engine}, this release has {known}")
        require(self.dim > 0 and self.max_tokens > 2, "dim or max_tokens out of range")
        require(bool(self.variants), "it has no variant")
        require(len(self.probe.vector) == self.dim, "the probe has another dimension")
        if self.prompts is not None:
            require(not self.prefix, "it has both a prefix and prompts")
            require(len(self.probe.document) == self.dim, "the probe has another dimension")
            unpooled = (self.prompts.query.unpooled, self.prompts.document.unpooled)
            require(0 <= min(unpooled) <= max(unpooled) < self.max_tokens, "a prompt is too long")
        for name, info in self.files.items():
            inside = not name.startswith("/") and ".." not in Path(name).parts
            require(inside, f"file name {name!r} leaves the directory")
            check_size(directory, name, info, NAME, ModelError, REMEDY)
        for variant in self.variants:
            listed = variant.file in self.files or any(
                name.startswith(f"{variant.file}/") for name in self.files
            )
            require(listed, f"variant file {variant.file} is not listed")
        expected = fingerprint_of(self)
        require(
            self.fingerprint == expected,
            f"fingerprint {self.fingerprint}, its content gives {expected}",
        )
        named = directory.resolve().name
        require(
            named == self.fingerprint or not FINGERPRINT_PATTERN.fullmatch(named),
            f"the directory is named {named}, but holds {self.fingerprint}",
        )

    def verify(self, directory: Path) -> None:
        """Check size and sha256 of every file; raises ModelError naming the first bad one."""
        for name, info in self.files.items():
            check(directory, name, info, ModelError, REMEDY)

    def variant_for(self, flags: Collection[str]) -> Variant:
        """The first variant that a CPU with these flags may run; raises ModelError."""
        for variant in self.variants:
            if not variant.requires or any(flag in flags for flag in variant.requires):
                return variant
        needs = "; ".join(f"{v.precision}: one of {', '.join(v.requires)}" for v in self.variants)
        raise ModelError(
            f"model {self.fingerprint} does not run on this CPU ({needs}): "
            "publish it with --precision w8 or fp32"
        )


def fingerprint_of(model: Model) -> str:
    """16 hex digits over what determines vectors; the order of files does not matter."""
    content: dict[str, Any] = {
        "schema": model.schema,
        "engine": model.engine,
        "dim": model.dim,
        "max_tokens": model.max_tokens,
        "prefix": model.prefix,
        "variants": model.variants,
        "files": {name: info.sha256 for name, info in model.files.items()},
    }
    if model.prompts is not None:
        content["prompts"] = model.prompts
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:16]


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Flags of this host's CPU (``flags`` on x86, ``Features`` on ARM); empty where unknown."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in {"flags", "Features"}:
            return frozenset(value.split())
    return frozenset()

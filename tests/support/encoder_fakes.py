"""An engine without a model, and artefacts that name it."""

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.config import EncoderConfig
from app.generation.engines.base import Prepared
from app.generation.files import describe
from app.generation.model import (
    NAME,
    Comparison,
    Model,
    Probe,
    Prompts,
    Request,
    Side,
    Variant,
    fingerprint_of,
)

DIM = 8
PROBE = "probe"


def vector_of(text: str, side: Side = "query") -> NDArray[np.float32]:
    """A unit vector made of a text's hash; as a document it has another one."""
    if side == "document":
        text = f"document {text}"
    digest = hashlib.sha256(text.encode()).digest()[:DIM]
    vector = np.frombuffer(digest, dtype=np.uint8).astype(np.float32) - 127.5
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


LONG = 300  # characters


class FakeEngine:
    """Encodes by hashing; counts texts; waits for ``go`` when there is one."""

    def __init__(self, fingerprint: str, *, two_sided: bool = False) -> None:
        self.fingerprint = fingerprint
        self._two_sided = two_sided
        self.dim = DIM
        self.largest = 16
        self.encoded: list[str] = []
        self.passes: list[int] = []
        self.started = threading.Event()
        self.go: threading.Event | None = None

    def most(self, group: int) -> int:
        """Long texts take a pass of their own."""
        return 1 if group > LONG else self.largest

    def prepare(self, text: str, side: Side) -> Prepared:
        return Prepared(len(text), (text, side))

    def run(self, texts: Sequence[Prepared]) -> NDArray[np.float32]:
        assert len({text.group for text in texts}) == 1
        self.passes.append(len(texts))  # first: a pass that fails is tried again alone
        assert len(texts) <= self.most(texts[0].group)
        self.encoded += [text.content[0] for text in texts]
        if self.go is not None:
            self.started.set()
            assert self.go.wait(10)
        sides = [side if self._two_sided else "query" for _, side in (t.content for t in texts)]
        return np.stack([vector_of(t.content[0], s) for t, s in zip(texts, sides, strict=True)])

    def encode(self, texts: Sequence[str], side: Side = "query") -> NDArray[np.float32]:
        return np.concatenate([self.run([self.prepare(text, side)]) for text in texts])


class Opener:
    """Opens artefacts with fake engines and keeps them by fingerprint."""

    def __init__(self) -> None:
        self.engines: dict[str, FakeEngine] = {}

    def __call__(self, directory: Path) -> FakeEngine:
        model = Model.load(directory)
        engine = FakeEngine(model.fingerprint, two_sided=model.two_sided)
        self.engines[engine.fingerprint] = engine
        return engine


def make_artefact(
    models: Path, content: bytes, probe: str = PROBE, prompts: Prompts | None = None
) -> Path:
    """A sealed artefact whose probe vectors are those of ``probe``; two-sided with ``prompts``."""
    document = tuple(map(float, vector_of(probe, "document"))) if prompts else ()
    draft = models / "draft"
    draft.mkdir(parents=True)
    (draft / "model.onnx").write_bytes(content)
    model = Model(
        schema=1,
        fingerprint="",
        name="fake",
        revision="1",
        dim=DIM,
        max_tokens=16,
        prefix="",
        engine="onnx",
        variants=(Variant("model.onnx", "fp32"),),
        files=describe(draft),
        probe=Probe(PROBE, tuple(map(float, vector_of(probe))), document),
        comparison=Comparison("none", "none", ()),
        request=Request("", "onnx", "fp32", None),
        prompts=prompts,
    )
    model = msgspec.structs.replace(model, fingerprint=fingerprint_of(model))
    (draft / NAME).write_bytes(msgspec.json.encode(model))
    return draft.rename(models / model.fingerprint)


def make_config(tmp_path: Path, current: Path, previous: Path | None = None) -> EncoderConfig:
    """Links to the artefacts and the settings that name them."""
    links = tmp_path / "links"
    links.mkdir()
    (links / "current").symlink_to(current)
    if previous is not None:
        (links / "previous").symlink_to(previous)
    return EncoderConfig.read(
        {
            "ASKFLEET_HOST": "encoder-1",
            "ASKFLEET_LINKS": str(links),
            "ASKFLEET_DRAIN_FILE": str(tmp_path / "drain"),
        }
    )

"""Models as one ONNX graph: token ids in, a unit vector out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import ModelError
from app.generation.engines.base import Prepared, TextEngine
from app.generation.model import (
    NO_PROMPTS,
    REMEDY,
    TOKENIZER,
    Model,
    Prompts,
    Side,
    Variant,
)

# Input of a graph whose pooling leaves the prompt out: so many tokens at the start, (1,) int64.
UNPOOLED = "unpooled"


class OnnxEngine(TextEngine):
    """A graph from token ids to a unit vector, run by ONNX Runtime.

    One text a pass: int8's activation scale is of the whole tensor, whoever's text is in it.
    """

    def __init__(
        self,
        session: Any,
        tokenizer: Any,
        fingerprint: str,
        dim: int,
        prompts: Prompts = NO_PROMPTS,
    ) -> None:
        super().__init__(fingerprint, dim, prompts)
        self._tokenizer = tokenizer
        self._session = session
        self._inputs = frozenset(value.name for value in session.get_inputs())

    def prepare(self, text: str, side: Side) -> Prepared:
        """The graph's inputs for one text."""
        prompt = self._prompts.of(side)
        encoding = self._tokenizer.encode(prompt.text + text)
        feed = {
            "input_ids": [encoding.ids],
            "attention_mask": [encoding.attention_mask],
            "token_type_ids": [encoding.type_ids],
            UNPOOLED: [prompt.unpooled],
        }
        arrays = {
            name: np.array(values, dtype=np.int64)
            for name, values in feed.items()
            if name in self._inputs
        }
        return Prepared(0, arrays)

    def run(self, texts: Sequence[Prepared]) -> NDArray[np.float32]:
        """The vector (1, dim) of one text."""
        vectors: NDArray[np.float32] = self._session.run(None, texts[0].content)[0]
        return vectors


def open_artefact(directory: Path, model: Model, variant: Variant, threads: int) -> OnnxEngine:
    """Open an artefact's graph and tokenizer; raises ModelError."""
    tokenizer = load_tokenizer(directory / TOKENIZER, model.max_tokens)
    session = onnx_session(directory / variant.file, threads)
    return OnnxEngine(session, tokenizer, model.fingerprint, model.dim, model.sides)


def load_tokenizer(path: Path, max_tokens: int) -> Any:
    """A ``tokenizers.Tokenizer`` that cuts at ``max_tokens`` and never pads."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing narrower
        raise ModelError(f"{path} is not a readable tokenizer: {error}: {REMEDY}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def onnx_session(graph: Path, threads: int = 1, without: Sequence[str] = ()) -> Any:
    """An ONNX Runtime session that leaves no thread spinning; ``without`` are optimisers to leave.

    Raises: ModelError when the file is no graph that ONNX Runtime can run.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    # Both keep memory for every shape of input there was; texts have hundreds. No CPU is lost.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(
            str(graph),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(without),
        )
    except Exception as error:  # onnxruntime's errors share no public base but Exception
        raise ModelError(f"{graph} is not a graph ONNX Runtime can run: {error}") from error

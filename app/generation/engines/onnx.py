"""Models as one ONNX graph: token ids in, a unit vector out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import ModelError
from app.generation.engines.base import TextEngine
from app.generation.model import NO_PROMPTS, REMEDY, Prompts, Side

# Input of a graph whose pooling leaves the prompt out: so many tokens at the start, (1,) int64.
UNPOOLED = "unpooled"


class OnnxEngine(TextEngine):
    """A graph from token ids to a unit vector, run by ONNX Runtime."""

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

    def _vector(self, text: str, side: Side) -> NDArray[np.float32]:
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
        vector: NDArray[np.float32] = self._session.run(None, arrays)[0][0]
        return vector


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


def onnx_session(graph: Path, threads: int = 1) -> Any:
    """An ONNX Runtime session that runs one text at a time and leaves no thread spinning."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no public base but Exception
        raise ModelError(f"{graph} is not a graph ONNX Runtime can run: {error}") from error

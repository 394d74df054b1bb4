"""The reference: the model as sentence-transformers runs it, in fp32, and how it is exported."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import ModelError
from index_builder.publish.source import Source

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OPSET = 17
EXAMPLE = "How do I turn on a telephone that has been off for a year?"


class Reference:
    """A sentence-transformers model on the CPU; one thread, one text at a time."""

    def __init__(self, source: Source) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(1)
        # eager attention: plain matrix products, which export and quantise piece by piece
        self.model: Any = SentenceTransformer(
            str(source.directory),
            device="cpu",
            local_files_only=True,
            model_kwargs={"attn_implementation": "eager"},
        )
        self.model.float().eval()
        prompt = self.model.default_prompt_name
        self.prefix: str = self.model.prompts[prompt] if prompt else ""
        self.max_tokens = int(self.model.max_seq_length or 512)
        self.model.max_seq_length = self.max_tokens

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape (len(texts), dim)."""
        rows = [
            self.model.encode(
                self.prefix + text, prompt="", normalize_embeddings=True, show_progress_bar=False
            )
            for text in texts
        ]
        return np.asarray(rows, dtype=np.float32)

    def features(self, text: str) -> dict[str, Any]:
        """What the model's own tokenizer makes of a text: name -> tensor of shape (1, tokens)."""
        tokenize = getattr(self.model, "preprocess", None) or self.model.tokenize
        made = tokenize([self.prefix + text])
        return {name: made[name] for name in INPUTS if name in made}

    def save_tokenizer(self, path: Path) -> None:
        """Write the fast tokenizer as tokenizer.json; raises ModelError where there is none."""
        backend = getattr(self.model.tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise ModelError("the model has no fast tokenizer: use --engine sentence-transformers")
        backend.save(str(path))

    def export(self, path: Path) -> None:
        """Write the whole model, pooling and normalisation included, as one ONNX graph.

        Inputs: those of INPUTS that the model uses, (1, sequence) int64. Output ``embedding``
        (1, dim) float32, unit length. Raises: ModelError when torch cannot export the model.
        """
        import torch

        model = self.model

        class Graph(torch.nn.Module):  # type: ignore[misc]  # torch is untyped here
            def __init__(self, names: list[str]) -> None:
                super().__init__()
                self.model = model
                self.names = names

            def forward(self, *tensors: Any) -> Any:
                features = self.model(dict(zip(self.names, tensors, strict=True)))
                return torch.nn.functional.normalize(features["sentence_embedding"], dim=-1)

        features = self.features(EXAMPLE)
        names = list(features)
        try:
            with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
                warnings.simplefilter("ignore")
                # the TorchScript exporter: five times faster than torch.export on such models,
                # and it names every matrix product so that the quantisers find it
                torch.onnx.export(
                    Graph(names).eval(),
                    tuple(features.values()),
                    str(path),
                    input_names=names,
                    output_names=["embedding"],
                    dynamic_axes={name: {1: "sequence"} for name in names},
                    opset_version=OPSET,
                    dynamo=False,
                )
        except Exception as error:  # an exporter fails in as many ways as models are built
            raise ModelError(
                f"torch cannot export this model ({str(error).splitlines()[0]}): "
                "use --engine sentence-transformers"
            ) from error


def open_reference(source: Source) -> Reference:
    """Load a model, quietly; raises ModelError naming the directory or the missing package."""
    try:
        with redirect_stderr(io.StringIO()):
            return Reference(source)
    except ImportError as error:
        raise ModelError(
            f"publishing needs {error.name}, which the controller has: pip install '.[controller]'"
        ) from error
    except Exception as error:  # a damaged model fails in as many ways as models are built
        raise ModelError(f"{source.directory} is not a model that loads: {error}") from error

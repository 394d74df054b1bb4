"""The model as one ONNX graph, from token ids to a unit vector."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from app.generation.engines.onnx import UNPOOLED
from index_builder.publish.one_line import one_line
from index_builder.publish.reference import Reference

OPSET = 17
EXAMPLE = "How do I turn on a telephone that has been off for a year?"


def export(reference: Reference, path: Path) -> None:
    """Write the whole model, pooling and normalisation included, as one graph.

    Inputs: those of INPUTS that the model uses, (1, sequence) int64, and UNPOOLED, (1,) int64,
    where pooling leaves the prompt out. Output ``embedding`` (1, dim) float32, unit length.

    Raises: ModelError when torch cannot export the model.
    """
    import torch

    inputs = reference.features(EXAMPLE)
    axes = {name: {1: "sequence"} for name in inputs}
    if reference.leaves_prompt_out:
        inputs[UNPOOLED] = torch.zeros(1, dtype=torch.int64)
    cannot = "torch cannot export this model"
    with (
        one_line(cannot, ": use --engine sentence-transformers"),
        warnings.catch_warnings(),
        redirect_stdout(io.StringIO()),
        torch.no_grad(),
    ):
        warnings.simplefilter("ignore")
        # the TorchScript exporter: five times faster than torch.export on such models,
        # and it names every matrix product so that the quantisers find it
        torch.onnx.export(
            _graph(reference, list(inputs)).eval(),
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=["embedding"],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )


def _graph(reference: Reference, names: list[str]) -> Any:
    """The module to trace: its arguments are the inputs called ``names``."""
    import torch

    run = _static(reference.model) if reference.static else reference.model

    class Graph(torch.nn.Module):  # type: ignore[misc]  # torch is untyped here
        def __init__(self) -> None:
            super().__init__()
            self.model = reference.model
            self.unpooled: Any = None
            for module in self.model:
                if getattr(module, "include_prompt", True) is False:
                    module.register_forward_pre_hook(self.leave_prompt_out)

        def forward(self, *tensors: Any) -> Any:
            inputs = dict(zip(names, tensors, strict=True))
            self.unpooled = inputs.pop(UNPOOLED, None)
            features = run(inputs)
            self.unpooled = None  # the model goes on as the reference
            return torch.nn.functional.normalize(features["sentence_embedding"], dim=-1)

        def leave_prompt_out(self, _: Any, arguments: tuple[dict[str, Any], ...]) -> Any:
            """Hide the first tokens from the pooling, as sentence-transformers does."""
            if self.unpooled is None:
                return arguments
            (features,) = arguments
            mask = features["attention_mask"]
            places = torch.arange(mask.shape[1], device=mask.device)
            kept = (places >= self.unpooled).to(mask.dtype)
            return ({**features, "attention_mask": mask * kept},)

    return Graph()


def _static(model: Any) -> Any:
    """The mean of the tokens' rows and the modules behind it, in operations that ONNX has."""
    import torch

    def run(features: dict[str, Any]) -> dict[str, Any]:
        rows = torch.nn.functional.embedding(features["input_ids"], model[0].embedding.weight)
        count = torch.clamp(torch.ones_like(features["input_ids"]).sum(dim=1, keepdim=True), min=1)
        features = {**features, "sentence_embedding": rows.sum(dim=1) / count}
        for module in list(model)[1:]:
            features = module(features)
        return features

    return run

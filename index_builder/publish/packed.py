"""The packed candidate: products of integers at fixed scales, so that texts may share a pass.

Scales are measured on texts, one for each product's input. A few channels of a transformer are ten
times larger than the rest, so channels are first brought nearer to each other, and the weights make
up for it (as SmoothQuant does). Weights have 7 bits, as int8's have: see ``quantise``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.generation.engines.packed import POOLING, POOLINGS, STEP, packed, packed_session
from app.generation.model import Variant
from index_builder.publish.graph import OWN, Floats, Graph, Product, transformer
from index_builder.publish.reference import Reference

PRECISION = "packed"
FILE = f"model-{PRECISION}.onnx"
# Transformers of BERT's plan. Positions of RoBERTa's begin behind the padding index.
ARCHITECTURES = {"BertModel": False, "RobertaModel": True, "XLMRobertaModel": True}
# How much of a channel's size goes into the weights: docs/decisions/0035.
SHARE = 0.7
# So much further than on the measured texts values may go before they are cut.
MARGIN = 1.1
LEVELS = 255
SEVEN_BITS = 64
SMALLEST = 1e-5


def packable(reference: Reference) -> bool:
    """Whether the model is of the plan that can be packed."""
    if reference.static:
        return False
    modules = [type(module).__name__ for module in reference.model]
    if modules not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        return False
    plain = reference.model[0].auto_model
    config = plain.config
    return (
        type(plain).__name__ in ARCHITECTURES
        and _pooling(reference) in POOLINGS
        and config.hidden_act == "gelu"
        and getattr(config, "position_embedding_type", None) in {None, "absolute"}
        and not config.is_decoder
        and config.hidden_size % STEP == 0  # so that no token shares a vector register
        and config.intermediate_size % STEP == 0
    )


def _pooling(reference: Reference) -> str:
    mode = reference.model[1].get_config_dict()["pooling_mode"]
    return mode if isinstance(mode, str) else "+".join(mode)


def make_packed(reference: Reference, tokenizer: Any, texts: Sequence[str], work: Path) -> Variant:
    """Write the graph into ``work``, its scales measured on ``texts`` of each side."""
    probe = work / f"probe-{FILE}"
    inputs: dict[str, str] = {}

    def exact(graph: Graph, name: str, value: str, weight: Floats, bias: Floats) -> str:
        inputs[name] = value
        found = graph.add("MatMul", value, graph.constant(weight))
        return graph.add("Add", found, graph.constant(bias))

    _write(reference, exact, probe, inputs)
    session = packed_session(probe)
    ranges: dict[str, Range] = {}
    for side in reference.sides:
        prompt = reference.prompts.of(side).text
        for text in texts:
            ids = tokenizer.encode(prompt + text).ids
            feed = packed([ids], -(-len(ids) // STEP) * STEP)
            for name, value in zip(inputs, session.run(list(inputs.values()), feed), strict=True):
                found = Range(value.min(axis=0), value.max(axis=0))
                ranges[name] = ranges[name] | found if name in ranges else found
    probe.unlink()
    _write(reference, Integers(ranges), work / FILE, {})
    return Variant(FILE, PRECISION)


def _write(reference: Reference, product: Product, path: Path, also: dict[str, str]) -> None:
    """Write the graph; the values that ``also`` names are outputs instead of the token vectors."""
    plain = reference.model[0].auto_model
    weights = {
        name: np.asarray(value.detach().numpy(), dtype=np.float32)
        for name, value in plain.named_parameters()
    }
    first = plain.config.pad_token_id + 1 if ARCHITECTURES[type(plain).__name__] else 0
    graph = Graph()
    hidden = transformer(graph, plain.config, weights, first, product)
    integers, floats = np.int64, np.float32
    shapes: dict[str, tuple[type, list[str | int]]] = {
        "ids": (integers, ["tokens"]),
        "positions": (integers, ["tokens"]),
        "slots": (integers, ["places"]),
        "rows": (integers, ["tokens"]),
        "mask": (floats, ["texts", 1, 1, "length"]),
    }
    graph.save(path, shapes, list(also.values()) or [hidden], {POOLING: _pooling(reference)})


@dataclass(frozen=True, slots=True)
class Range:
    """The least and the greatest value of each channel of a product's input, (channels,) each."""

    least: Floats
    most: Floats

    def __or__(self, other: Range) -> Range:
        return Range(np.minimum(self.least, other.least), np.maximum(self.most, other.most))


class Integers:
    """Products in integers, each input at the scale of its range."""

    def __init__(self, ranges: dict[str, Range]) -> None:
        self._ranges = ranges

    def __call__(self, graph: Graph, name: str, value: str, weight: Floats, bias: Floats) -> str:
        """Bring channels together, round to 8 bits unsigned, multiply by weights of 7 bits."""
        found = self._ranges[name]
        size = np.maximum(np.maximum(-found.least, found.most), SMALLEST)
        heavy = np.maximum(np.abs(weight).max(axis=1), SMALLEST)
        channels = size**SHARE / heavy ** (1 - SHARE)
        channels = (channels / np.exp(np.log(channels).mean())).astype(np.float32)
        least = min(float((found.least / channels).min()), 0) * MARGIN
        most = max(float((found.most / channels).max()), 0) * MARGIN
        step = np.float32((most - least) / LEVELS)
        scale, zero = graph.constant(step), graph.constant(np.uint8(round(-least / float(step))))
        nearer = graph.add("Mul", value, graph.constant(1 / channels))
        rounded = graph.add("QuantizeLinear", nearer, scale, zero)

        weight = weight * channels[:, None]
        steps = np.maximum(np.abs(weight).max(axis=0), SMALLEST) / SEVEN_BITS
        whole = np.clip(np.round(weight / steps), -SEVEN_BITS, SEVEN_BITS).astype(np.int8)
        return graph.add(
            "MatMulIntegerToFloat",
            rounded,
            graph.constant(whole),
            scale,
            graph.constant(steps.astype(np.float32)),
            zero,
            "",
            graph.constant(bias),
            domain=OWN,
        )

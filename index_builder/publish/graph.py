"""A transformer of BERT's plan as an ONNX graph over packed tokens (see ``engines.packed``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

OPSET = 18
IR = 9
OWN = "com.microsoft"  # ONNX Runtime's operators
QUERY_KEY_VALUE = ("query", "key", "value")


class Graph:
    """Nodes and constants in the order in which they are added; names are numbers."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, value: Any) -> str:
        """A constant of the graph; returns its name."""
        from onnx import numpy_helper

        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node with one output; returns that output's name."""
        return self.split(kind, 1, *inputs, domain=domain, **attributes)[0]

    def split(
        self, kind: str, outputs: int, *inputs: str, domain: str = "", **attributes: Any
    ) -> list[str]:
        """A node with so many outputs; returns their names."""
        from onnx import helper

        names = [f"value{len(self._nodes)}.{number}" for number in range(outputs)]
        self._nodes.append(
            helper.make_node(kind, inputs, names, name=names[0], domain=domain, **attributes)
        )
        return names

    def save(
        self,
        path: Path,
        inputs: Mapping[str, tuple[type, Sequence[Any]]],
        outputs: Sequence[str],
        notes: Mapping[str, str],
    ) -> None:
        """Write the graph; ``inputs`` are name -> type and shape, ``notes`` its metadata."""
        import onnx
        from onnx import helper

        def described(name: str, kind: type, shape: Sequence[Any] | None) -> Any:
            element = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
            return helper.make_tensor_value_info(name, element, shape)

        graph = helper.make_graph(
            self._nodes,
            "packed",
            [described(name, kind, shape) for name, (kind, shape) in inputs.items()],
            [described(name, np.float32, None) for name in outputs],
            self._constants,
        )
        sets = [helper.make_opsetid("", OPSET), helper.make_opsetid(OWN, 1)]
        model = helper.make_model(graph, opset_imports=sets, ir_version=IR)
        helper.set_model_props(model, dict(notes))
        onnx.save(model, path)


class Product(Protocol):
    """Adds a product with weights, and a bias, to the graph."""

    def __call__(self, graph: Graph, name: str, value: str, weight: Floats, bias: Floats) -> str:
        """``value`` (tokens, n) times ``weight`` (n, m) plus ``bias`` (m,); ``name`` is its own."""
        ...


def transformer(
    graph: Graph, config: Any, weights: Mapping[str, Floats], first: int, product: Product
) -> str:
    """Add a whole transformer; returns the name of its token vectors, (tokens, hidden).

    ``first`` is the row of the table of positions where a text begins. The inputs are those of
    ``engines.packed.packed``.
    """
    heads = config.num_attention_heads
    width = config.hidden_size // heads
    one = np.float32(width**-0.5)

    def norm(value: str, name: str) -> str:
        gamma = graph.constant(weights[f"{name}.weight"])
        beta = graph.constant(weights[f"{name}.bias"])
        epsilon = config.layer_norm_eps
        return graph.add("LayerNormalization", value, gamma, beta, axis=-1, epsilon=epsilon)

    def dense(value: str, name: str, called: str) -> str:
        weight, bias = weights[f"{called}.weight"].T, weights[f"{called}.bias"]
        return product(graph, name, value, weight, bias)

    # Rows of ``width`` numbers are picked by their index, into attention's order and back: that
    # costs less than to transpose whole arrays.
    def number(value: int | list[int]) -> str:
        return graph.constant(np.array(value, np.int64))

    texts, length = (graph.add("Shape", "mask", start=at, end=at + 1) for at in (0, 3))
    each = graph.constant(np.arange(heads, dtype=np.int64)[:, None])
    by_text = graph.add("Concat", texts, number([1]), length, axis=0)
    by_row = number([-1, width])
    together = number([-1, config.hidden_size])
    slots = graph.add("Mul", graph.add("Reshape", "slots", by_text), number(3 * heads))
    query_rows = graph.add("Add", slots, each)  # (texts, heads, length)
    key_rows = graph.add("Add", query_rows, number(heads))
    content_rows = graph.add("Add", query_rows, number(2 * heads))
    text = graph.add("Div", "rows", length)
    first_rows = graph.add("Mul", graph.add("Mul", text, length), number(heads - 1))
    found_rows = graph.add(  # (tokens, heads)
        "Add",
        graph.add("Unsqueeze", graph.add("Add", first_rows, "rows"), number([1])),
        graph.add("Mul", graph.constant(np.arange(heads, dtype=np.int64)), length),
    )

    places = weights["embeddings.position_embeddings.weight"][first:]
    kind = weights["embeddings.token_type_embeddings.weight"][0]
    words = graph.constant(weights["embeddings.word_embeddings.weight"])
    words = graph.add("Gather", words, "ids")
    value = graph.add("Add", words, graph.add("Gather", graph.constant(places + kind), "positions"))
    value = norm(value, "embeddings.LayerNorm")
    for layer in range(config.num_hidden_layers):
        inside = f"encoder.layer.{layer}"
        attention = f"{inside}.attention.self"
        three = [weights[f"{attention}.{part}.weight"].T for part in QUERY_KEY_VALUE]
        biases = [weights[f"{attention}.{part}.bias"] for part in QUERY_KEY_VALUE]
        scaled = np.concatenate([three[0] * one, *three[1:]], axis=1)
        bias = np.concatenate([biases[0] * one, *biases[1:]])
        parts = product(graph, f"{layer}.attend", value, scaled, bias)
        parts = graph.add("Reshape", parts, by_row)
        query, key, content = (
            graph.add("Gather", parts, rows) for rows in (query_rows, key_rows, content_rows)
        )
        scores = graph.add("FusedMatMul", query, key, domain=OWN, transB=1)
        scores = graph.add("Softmax", graph.add("Add", scores, "mask"), axis=-1)
        found = graph.add("Reshape", graph.add("MatMul", scores, content), by_row)
        found = graph.add("Reshape", graph.add("Gather", found, found_rows), together)
        found = dense(found, f"{layer}.found", f"{inside}.attention.output.dense")
        value = norm(graph.add("Add", found, value), f"{inside}.attention.output.LayerNorm")
        wide = dense(value, f"{layer}.wide", f"{inside}.intermediate.dense")
        wide = graph.add("Gelu", wide, domain=OWN)
        narrow = dense(wide, f"{layer}.narrow", f"{inside}.output.dense")
        value = norm(graph.add("Add", narrow, value), f"{inside}.output.LayerNorm")
    return value

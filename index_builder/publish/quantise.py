"""The candidates of the exported graph: one graph in several precisions.

fp32   as exported.
w8     8-bit weights in blocks of 128 (MatMulNBits), products in 8 bits per block: any CPU.
int8   dynamic int8 for whole tensors, weights of 7 bits: the fastest, and the furthest from fp32.
       A CPU without 8-bit dot products adds pairs of products in 16 bits; with 7 bits their sum
       is at most 2 * 255 * 64 = 32,640, so nothing saturates and every CPU has the same integers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.generation.model import Variant

BLOCK = 128
QUANTISED = ("MatMul", "Gemm")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the line per node that the quantisers write to the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _w8(graph: Path, target: Path) -> None:
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(
        onnx.load(graph), bits=8, block_size=BLOCK, is_symmetric=True, accuracy_level=4
    )
    quantizer.process()
    quantizer.model.save_model_to_file(str(target), use_external_data_format=False)


def _int8(graph: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        graph,
        target,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,  # 7 bits
        op_types_to_quantize=list(QUANTISED),
    )


_MAKERS: dict[str, Callable[[Path, Path], None]] = {"w8": _w8, "int8": _int8}
GRAPHS = ("fp32", *_MAKERS)


def precisions(graph: Path) -> tuple[str, ...]:
    """The precisions in which a graph differs; fp32 alone where it has no matrix product."""
    import onnx

    nodes = onnx.load(graph, load_external_data=False).graph.node
    return GRAPHS if any(node.op_type in QUANTISED for node in nodes) else ("fp32",)


def make(graph: Path, precision: str) -> Variant:
    """Quantise the fp32 ``graph`` into a file beside it; ``fp32`` is the graph itself."""
    if precision == "fp32":
        return Variant(file=graph.name, precision=precision)
    target = graph.with_name(f"model-{precision}.onnx")
    with _quiet():
        _MAKERS[precision](graph, target)
    return Variant(file=target.name, precision=precision)

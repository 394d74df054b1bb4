"""Publish a model: export, quantise, compare with the reference, and seal as an artefact."""

from index_builder.publish.publisher import publish_model
from index_builder.publish.questions import EvalFiles

__all__ = ["EvalFiles", "publish_model"]

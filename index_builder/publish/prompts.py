"""Which of a model's prompts each side uses, and how that is told to people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.generation.model import Model, Prompt

# sentence-transformers' own names, the first that has a text (`encode_query`, `encode_document`).
QUERY_NAMES = ("query",)
DOCUMENT_NAMES = ("document", "passage", "corpus")


@dataclass(frozen=True, slots=True)
class PromptNames:
    """The name of each side's prompt, None for no prompt, and the names that no side uses."""

    query: str | None
    document: str | None
    unused: tuple[str, ...] = ()


def prompt_names(prompts: Mapping[str, str], default: str | None) -> PromptNames:
    """Choose by the names that the model's authors gave.

    A model with a prompt for questions or for documents has two sides, and a side without one has
    none. Any other model uses its default prompt, if it has one, on both sides. Empty prompts
    count as absent: sentence-transformers adds them to every model.
    """

    def first(names: tuple[str, ...]) -> str | None:
        return next((name for name in names if prompts.get(name)), None)

    query, document = first(QUERY_NAMES), first(DOCUMENT_NAMES)
    if query is None and document is None:
        query = document = default if default and prompts.get(default) else None
    used = {query, document}
    unused = sorted(name for name, text in prompts.items() if text and name not in used)
    return PromptNames(query, document, tuple(unused))


def described(model: Model) -> str:
    """One line for people: what is put before questions and before documents."""
    query, document = model.sides.query, model.sides.document
    if not query.text and not document.text:
        return "prompts: none"
    if query == document:
        return f"prompts: {_quoted(query)} before questions and documents"
    return f"prompts: {_quoted(query)} before questions, {_quoted(document)} before documents"


def _quoted(prompt: Prompt) -> str:
    if not prompt.text:
        return "nothing"
    return repr(prompt.text) + (" (left out of pooling)" if prompt.unpooled else "")

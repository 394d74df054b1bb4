"""The reference: the model as sentence-transformers runs it, in fp32."""

from __future__ import annotations

import importlib.util
import io
import json
import math
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import ModelError
from app.generation.model import Prompt, Prompts, Side
from index_builder.publish.limits import WORD, longest, text_of, texts_about
from index_builder.publish.one_line import one_line
from index_builder.publish.prompts import prompt_names
from index_builder.publish.source import Source

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
# Where a model names no limit, or none that a service could keep.
USUAL_LIMIT = 512
LARGEST_LIMIT = 1 << 17
# More tokens than any text has: a mean of token vectors costs the same however long the text is.
NO_LIMIT = 1 << 20


class Reference:
    """A sentence-transformers model on the CPU; one thread, one text at a time.

    Attributes:
        model: the loaded model.
        static: whether it is a table of token vectors without a transformer.
        prompts: what is put before the texts of each side.
        two_sided: whether the sides may differ, or pooling leaves the prompt out.
        max_tokens: where texts are cut, special tokens counted.
        notes: what people should know, a line each.
    """

    def __init__(self, source: Source) -> None:
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Router, StaticEmbedding

        torch.set_num_threads(1)
        # eager attention: plain matrix products, which export and quantise piece by piece
        self.model: Any = SentenceTransformer(
            str(source.directory),
            device="cpu",
            local_files_only=True,
            model_kwargs={"attn_implementation": "eager"},
        )
        self.model.float().eval()
        self.static = isinstance(self.model[0], StaticEmbedding)
        # as it was saved: encoding leaves lengths in it, which would change the fingerprint
        self._tokenizer = _tokenizer_json(self.model)
        self.notes: list[str] = []
        self._names = prompt_names(self.model.prompts, self.model.default_prompt_name)
        if self._names.unused:
            names = ", ".join(self._names.unused)
            self.notes.append(f"prompts of the model that neither side uses: {names}")
        self._check_pooling()
        self.max_tokens = self._limit()
        self.prompts = Prompts(self._prompt("query"), self._prompt("document"))
        self.two_sided = (
            self.prompts.query != self.prompts.document
            or self.prompts.query.unpooled > 0
            or any(isinstance(module, Router) for module in self.model.modules())
        )

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that have to be compared."""
        return ("query", "document") if self.two_sided else ("query",)

    @property
    def leaves_prompt_out(self) -> bool:
        """Whether pooling leaves the prompt's tokens out."""
        return any(getattr(module, "include_prompt", True) is False for module in self.model)

    def encode(self, texts: Sequence[str], side: Side = "query") -> NDArray[np.float32]:
        """Unit vectors, shape (len(texts), dim): what the model's authors would get.

        That is ``encode_query`` and ``encode_document`` with the side's prompt, which is plain
        ``encode`` where a model has one prompt, or none, for all texts.
        """
        encode = self.model.encode_query if side == "query" else self.model.encode_document
        name = self._name(side)
        chosen = {"prompt": ""} if name is None else {"prompt_name": name}
        rows = [
            encode(text, **chosen, normalize_embeddings=True, show_progress_bar=False)
            for text in texts
        ]
        return np.asarray(rows, dtype=np.float32)

    def features(self, text: str, side: Side = "query") -> dict[str, Any]:
        """What the model's own tokenizer makes of a text: name -> tensor of shape (1, tokens)."""
        made = self._preprocess(text, self._text(side))
        return {name: made[name].reshape(1, -1) for name in INPUTS if name in made}

    def texts_about_limit(self, side: Side) -> list[str]:
        """Texts just below, at and above the limit."""
        return texts_about(self.max_tokens, self._own_tokens(side))

    def save_tokenizer(self, path: Path) -> None:
        """Write the fast tokenizer as tokenizer.json; raises ModelError where there is none."""
        if self._tokenizer is None:
            raise ModelError("the model has no fast tokenizer: use --engine sentence-transformers")
        content = self._tokenizer
        if self.static:  # such a model averages no special tokens
            content = json.dumps({**json.loads(content), "post_processor": None})
        path.write_text(content, encoding="utf-8")

    def _name(self, side: Side) -> str | None:
        return self._names.query if side == "query" else self._names.document

    def _text(self, side: Side) -> str:
        name = self._name(side)
        return "" if name is None else str(self.model.prompts[name])

    def _preprocess(self, text: str, prompt: str) -> dict[str, Any]:
        if hasattr(self.model, "preprocess"):
            made: dict[str, Any] = self.model.preprocess([text], prompt=prompt)
        else:
            made = self.model.tokenize([prompt + text])
        return made

    def _own_tokens(self, side: Side) -> int:
        """Tokens beside a text's own: special ones and the prompt."""
        return int(self.features(WORD, side)["input_ids"].shape[1]) - 1

    def _prompt(self, side: Side) -> Prompt:
        text = self._text(side)
        own = self._own_tokens(side)
        if own + 2 > self.max_tokens:
            raise ModelError(f"the prompt {text!r} leaves no room in {self.max_tokens} tokens")
        if not text or not self.leaves_prompt_out:
            return Prompt(text)
        return Prompt(text, int(self._preprocess(WORD, text)["prompt_length"]))

    def _check_pooling(self) -> None:
        try:
            self.encode([WORD])
        except KeyError as error:
            if error.args != ("sentence_embedding",):
                raise
            raise ModelError(
                "none of its modules makes one vector of a text's tokens: "
                "modules.json must name a pooling"
            ) from error

    def _limit(self) -> int:
        """The declared limit, or less where the model fails at it."""
        if self.static:
            truncation = self.model.tokenizer.truncation
            return int(truncation["max_length"]) if truncation else NO_LIMIT
        declared = self.model.max_seq_length
        if declared is None or not 0 < declared < LARGEST_LIMIT or math.isnan(declared):
            self.notes.append(f"the model names no limit of tokens: texts are cut at {USUAL_LIMIT}")
            declared = USUAL_LIMIT
        declared = int(declared)
        least = min(declared, max(self._own_tokens(side) for side in ("query", "document")) + 2)

        def takes(limit: int) -> Exception | None:
            self.model.max_seq_length = limit
            try:
                self.encode([text_of(limit + 1)])
            except Exception as error:  # torch's IndexError, and what other layers raise
                return error
            return None

        limit = longest(declared, least, takes)
        self.model.max_seq_length = limit
        if limit < declared:
            self.notes.append(
                f"the model says {declared} tokens and fails above {limit}: "
                f"texts are cut at {limit}"
            )
        return limit


def _tokenizer_json(model: Any) -> str | None:
    """The text of tokenizer.json; None for a model without a fast tokenizer."""
    tokenizer = getattr(model, "tokenizer", None)
    backend: Any = getattr(tokenizer, "backend_tokenizer", tokenizer)
    return str(backend.to_str(pretty=True)) if hasattr(backend, "to_str") else None


def open_reference(source: Source) -> Reference:
    """Load a model, quietly; raises ModelError naming the directory or the missing package."""
    for package in ("torch", "sentence_transformers"):
        if importlib.util.find_spec(package) is None:
            raise ModelError(
                f"publishing needs {package}, which the controller has: pip install '.[controller]'"
            )
    with one_line(f"{source.directory} is not a model that loads"), redirect_stderr(io.StringIO()):
        try:
            return Reference(source)
        except ModelError as error:
            raise ModelError(f"{source.directory} cannot be published: {error}") from error

"""Small random models of the kinds that people bring, saved as sentence-transformers saves them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tiny_model import DIM, LETTERS

ROBERTA_POSITIONS = 34
"""Two positions of a RoBERTa are never used: such a model takes 32 tokens."""


def save_model(
    directory: Path,
    *,
    roberta: bool = False,
    pooling: str | None = "mean",
    include_prompt: bool = True,
    prompts: Mapping[str, str] | None = None,
    default: str | None = None,
) -> Path:
    """A random transformer of one layer; without ``pooling`` it has no such module."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

    torch.manual_seed(5)
    saved = directory / "transformer"
    sizes: dict[str, Any] = {
        "vocab_size": 100,
        "hidden_size": DIM,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        # random weights of the usual size hardly tell texts from each other
        "initializer_range": 0.4,
    }
    if roberta:
        config = RobertaConfig(max_position_embeddings=ROBERTA_POSITIONS, pad_token_id=1, **sizes)
        RobertaModel(config).save_pretrained(saved)
    else:
        BertModel(BertConfig(max_position_embeddings=32, **sizes)).save_pretrained(saved)
    _fast_tokenizer().save_pretrained(saved)
    modules: list[Any] = [Transformer(str(saved))]
    if pooling is not None:
        modules.append(Pooling(DIM, pooling_mode=pooling, include_prompt=include_prompt))
    model = SentenceTransformer(
        modules=modules, device="cpu", prompts=dict(prompts or {}), default_prompt_name=default
    )
    model.save(str(directory / "model"))
    return directory / "model"


def save_static_model(directory: Path, *, model2vec: bool = False) -> Path:
    """A table of token vectors; as model2vec writes it, or as sentence-transformers does."""
    from safetensors.numpy import save_file
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    rows = np.random.default_rng(3).standard_normal((100, DIM)).astype(np.float32)
    model = directory / "model"
    tokenizer = _tokenizer()
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, rows)], device="cpu").save(str(model))
    if model2vec:
        (weights,) = model.rglob("*.safetensors")
        save_file({"embeddings": rows}, weights)
    return model


def _tokenizer() -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.normalizers import Lowercase
    from tokenizers.pre_tokenizers import Split
    from tokenizers.processors import TemplateProcessing

    names = ["<s>", "<pad>", "</s>", "<unk>", *LETTERS]
    tokenizer = Tokenizer(WordLevel({name: at for at, name in enumerate(names)}, "<unk>"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Split(" ", "removed")  # a token is a letter, or unknown
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def _fast_tokenizer() -> Any:
    from transformers import PreTrainedTokenizerFast

    special = {"cls": "<s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=_tokenizer(), **{f"{name}_token": text for name, text in special.items()}
    )

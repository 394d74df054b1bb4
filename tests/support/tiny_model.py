"""A random BERT of a few kilobytes, saved as sentence-transformers saves models."""

from pathlib import Path

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789?!.,'"
DIM = 128
MAX_TOKENS = 48


def save_tiny_model(directory: Path, seed: int = 7) -> Path:
    """Write the model below ``directory`` and return where it is."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]
    words += [f"##{letter}" for letter in LETTERS]
    vocab = directory / "vocab.txt"
    directory.mkdir(parents=True, exist_ok=True)
    vocab.write_text("\n".join(words), encoding="utf-8")
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=DIM,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=MAX_TOKENS,
    )
    bert = directory / "bert"
    BertModel(config).save_pretrained(bert)
    BertTokenizerFast(
        tokenizer_object=BertWordPieceTokenizer(str(vocab), lowercase=True)._tokenizer
    ).save_pretrained(bert)
    model = directory / "tiny"
    transformer = Transformer(str(bert), max_seq_length=MAX_TOKENS)
    SentenceTransformer(modules=[transformer, Pooling(DIM)], device="cpu").save(str(model))
    return model

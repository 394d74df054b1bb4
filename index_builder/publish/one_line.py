"""Whatever a strange or damaged model raises, as one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import AskfleetError, ModelError

_NOT_OURS = (AskfleetError, KeyboardInterrupt, SystemExit)


def first_line(error: BaseException) -> str:
    """What an exception says, or its kind where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@contextmanager
def one_line(what: str, fix: str = "") -> Iterator[None]:
    """Turn any exception of the block into a ModelError that begins with ``what``.

    Libraries of models raise all kinds of exceptions. Those of ``tokenizers`` may be Rust panics,
    which are no ``Exception``.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, _NOT_OURS):
            raise
        raise ModelError(f"{what}: {first_line(error)}{fix}") from error

"""The error tree of askfleet.

AskfleetError                 anything the user can be told in one line
├── ConfigError               environment or settings
├── CorpusError               the input of a build
├── EmbedError                encoding a corpus
├── BuildError                making a generation
├── ModelError                a model artefact: missing, damaged, of another kind
├── GenerationError           a generation: missing, damaged, inconsistent
└── ProblemError              an HTTP answer of 4xx or 5xx (RFC 9457)

Every message names the thing that is wrong and, where there is one, the fix.
"""

from __future__ import annotations


class AskfleetError(Exception):
    """Base of every error that a person is meant to read."""


class ConfigError(AskfleetError):
    """A setting is missing, unknown or out of range."""


class CorpusError(AskfleetError):
    """The corpus cannot be read, or too much of it is unusable."""


class EmbedError(AskfleetError):
    """The corpus could not be encoded."""


class BuildError(AskfleetError):
    """A generation could not be built from its inputs."""


class ModelError(AskfleetError):
    """A model artefact is missing, damaged or not what was asked for."""


class GenerationError(AskfleetError):
    """A generation is missing, damaged or inconsistent."""


class ProblemError(AskfleetError):
    """An HTTP error answer; the service layer renders it as application/problem+json.

    Args:
        status: HTTP status, 4xx or 5xx.
        code: stable machine-readable name, e.g. ``generation_not_loaded``.
        detail: one sentence for a person.
        field: the request member at fault, e.g. ``queries[3]``.
        retry_after: seconds after which trying again makes sense.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field
        self.retry_after = retry_after

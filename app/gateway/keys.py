"""API keys: who may ask, known by the SHA-256 of what is sent, never by the key itself.

Keys are long and random, so a plain hash keeps them: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from app.errors import ConfigError, ProblemError
from app.service.request import Request
from app.wire import CANARY_HEADER

LOOPBACK = frozenset({"127.0.0.1", "::1"})
_LINE = re.compile(r"([0-9a-f]{64}) (\S.*)")


class ApiKeys:
    """The keys that are known.

    Args:
        known: name -> SHA-256 of the key.
        edges: addresses of the edges, whose canaries come from the fleet: they take others away.
    """

    def __init__(self, known: Mapping[str, bytes], edges: frozenset[str] = frozenset()) -> None:
        self._known = dict(known)
        self._trusted = LOOPBACK | edges

    @classmethod
    def read(cls, path: Path, edges: frozenset[str] = frozenset()) -> Self:
        """Read lines ``<sha256> <name>`` beside comments; raises ConfigError without any."""
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the API keys cannot be read: {error}") from error
        known = {}
        for number, line in enumerate(lines, 1):
            if line.startswith("#"):
                continue
            found = _LINE.fullmatch(line)
            if found is None:
                raise ConfigError(f"{path}: line {number} is not `<sha256> <name>`")
            known[found[2]] = bytes.fromhex(found[1])
        if not known:
            raise ConfigError(f"{path}: no API key; nobody could ask")
        return cls(known, edges)

    def check(self, request: Request) -> None:
        """Let a request pass that brings a known key, or is the fleet's own canary.

        Raises: ProblemError 401 without a key, 403 with one that is not known.
        """
        if request.has(CANARY_HEADER.lower()) and request.client in self._trusted:
            return
        kind, _, token = request.header("authorization").partition(" ")
        # As nginx at the edge reads it, which counts by key: blanks and tabs are no part of it.
        bearer = kind.lower() == "bearer"
        key = token.strip(" \t") if bearer else request.header("x-api-key")
        if not key:
            raise ProblemError(
                401, "missing_key", "send a key as `Authorization: Bearer …` or `X-API-Key: …`"
            )
        digest = hashlib.sha256(key.encode()).digest()
        # Every key is compared with, whichever it is: time tells nothing.
        if not sum(hmac.compare_digest(digest, one) for one in self._known.values()):
            raise ProblemError(403, "unknown_key", "this key is not known here")

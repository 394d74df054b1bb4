"""What the bench asks of a system, and how it is told."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from bench_data import Data


class Asked(NamedTuple):
    """One HTTP request."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]


class System(Protocol):
    """A server that answers questions on 127.0.0.1.

    Attributes:
        name: of its row.
        told: what it is, in a line.
        port: where it listens.
    """

    name: str
    told: str
    port: int

    def prepare(self, data: Data) -> None:
        """Build what it serves, unless that is there already."""

    def start(self) -> None:
        """Start it, and return when it answers."""

    def roots(self) -> dict[str, list[int]]:
        """Process ids by part; their descendants count with them."""

    def request(self, question: str) -> Asked:
        """The request that asks for the K nearest."""

    def ids(self, body: bytes) -> list[str]:
        """The ids in an answer, best first."""

    def stop(self) -> None:
        """End every process."""


HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]

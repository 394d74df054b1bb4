"""A peer as a system of the bench."""

from __future__ import annotations

from pathlib import Path

from bench_data import Data
from bench_system import Asked
from peer import Peer
from peer_process import Process


class PeerSystem:
    """Another product, its own interface, and the same encoder in front."""

    def __init__(self, peer: Peer, told: str, directory: Path, port: int) -> None:
        self.name = f"{peer.name}, batching" if peer.batching else peer.name
        self.told = told
        self.port = port
        self._peer = peer
        self._directory = directory
        self._model = Path()
        self._processes: list[Process] = []

    def prepare(self, data: Data) -> None:
        """Load the documents."""
        self._model = data.model
        self._peer.prepare(self._directory, data.ids, data.texts, data.vectors)

    def start(self) -> None:
        """Start all it needs."""
        self._processes = self._peer.start(self._directory, self._model, self.port)

    def roots(self) -> dict[str, list[int]]:
        """Process ids: the API's, and the store's where it has one."""
        names = ("api", "store")
        return {n: [p.pid] for n, p in zip(names, self._processes, strict=False)}

    def request(self, question: str) -> Asked:
        """The request that asks for the nearest."""
        return Asked(*self._peer.request(question))

    def ids(self, body: bytes) -> list[str]:
        """The ids, best first."""
        return self._peer.ids(body)

    def stop(self) -> None:
        """End them."""
        self._peer.stop(self._processes)

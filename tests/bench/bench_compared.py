"""The systems that are compared."""

from __future__ import annotations

import sys
from pathlib import Path

from askfleet_stack import Askfleet
from bench_system import System
from peer import Peer
from peer_afternoon import Afternoon
from peer_chroma import Chroma
from peer_lancedb import Lancedb
from peer_pgvector import Pgvector
from peer_system import PeerSystem
from peer_txtai import Txtai
from reference import Reference


def systems(work: Path, python: Path | None, cache: Path, batching: list[str]) -> list[System]:
    """All that are compared.

    Args:
        work: where each gets a directory.
        python: has the peers' packages; without it there is only what needs none.
        cache: of wheels.
        batching: peers, by name, that are there again with an encoder that batches.
    """
    peers: list[tuple[type[Peer], str]] = [
        (Afternoon, "one process under gunicorn: Flask, FAISS (HNSW), documents in a list"),
        (Chroma, "API process, Chroma server by its HTTP client"),
        (Pgvector, "API process, PostgreSQL with pgvector (HNSW) by psycopg"),
        (Lancedb, "API process with LanceDB in it (IVF_HNSW_SQ)"),
        (Txtai, "txtai's own API with its index in it"),
    ]
    return [
        Askfleet(work / "askfleet", 29080),
        Reference(work / "reference", 29100, cache),
        *(
            PeerSystem(
                peer(python or Path(sys.executable), batching=batches),
                told,
                work / f"{peer.name}{'-batching' * batches}",
                29200 + 2 * place + batches,
            )
            for place, (peer, told) in enumerate(peers)
            for batches in (False, True)
            if (python or peer is Afternoon) and (not batches or peer.name in batching)
        ),
    ]

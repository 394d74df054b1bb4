"""PostgreSQL with pgvector: its server in a process of its own, asked through psycopg."""

import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peer_pgserver
from numpy.typing import NDArray
from peer import ApiPeer, K, documents
from peer_process import Process, free_port, stop

# A number for the limit: as a parameter it would be planned anew for each question.
NEAREST = f"SELECT id FROM documents ORDER BY embedding <#> %s LIMIT {K}"  # noqa: S608  # a constant


class Pgvector(ApiPeer):
    """PostgreSQL and pgvector's HNSW, both as they are configured by default."""

    name = "pgvector"
    _home: Path | None = None

    def launch(self, processes: list[Process], directory: Path, model: Path, port: int) -> None:
        store_port = free_port()
        self._home = peer_pgserver.lodge(self.python, directory / "data")
        log = directory / "postgres.log"
        processes.append(peer_pgserver.launch(self._home, log, store_port))
        processes.insert(0, self.launch_api(directory, model, port, store_port))

    def stop(self, processes: list[Process]) -> None:
        super().stop(processes)
        if self._home:
            peer_pgserver.leave(self._home)


def load(directory: Path) -> None:
    """Make the cluster, the table and its index; runs where pgserver is installed."""
    home, port = peer_pgserver.lodge(Path(sys.executable), directory / "data"), free_port()
    try:
        peer_pgserver.make_cluster(home)
        server = peer_pgserver.launch(home, directory / "postgres.log", port)
        try:
            fill(port, *documents(directory))
        finally:
            stop([server])
        shutil.copytree(home / "data", directory / "data")
    finally:
        peer_pgserver.leave(home)


def fill(port: int, ids: list[str], vectors: NDArray[np.float32]) -> None:
    """Copy the documents in, then index them: the order pgvector recommends."""
    with connection_to(port) as bare:
        bare.execute("CREATE EXTENSION vector")
    with with_vectors(connection_to(port)) as connection:
        connection.execute(
            f"CREATE TABLE documents (id text PRIMARY KEY, embedding vector({vectors.shape[1]}))"
        )
        with connection.cursor().copy("COPY documents FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.set_types(["text", "vector"])
            for identifier, vector in zip(ids, vectors, strict=True):
                copy.write_row([identifier, vector])
        # Unit vectors have the same order by inner product, which pgvector recommends for them.
        connection.execute("CREATE INDEX ON documents USING hnsw (embedding vector_ip_ops)")
        connection.execute("ANALYZE documents")


def connection_to(port: int) -> Any:
    """A connection to the server."""
    import psycopg

    where = {"host": "127.0.0.1", "port": port, "user": "postgres", "dbname": "postgres"}
    return psycopg.connect(**where, autocommit=True)


def with_vectors(connection: Any) -> Any:
    """The connection, which from now on takes and gives numpy's vectors."""
    from pgvector.psycopg import register_vector

    register_vector(connection)
    return connection


def connect(_: Path, port: int) -> Callable[[NDArray[np.float32]], list[str]]:
    """Ask by a prepared statement, over one connection for each thread."""
    own = threading.local()

    def nearest(vector: NDArray[np.float32]) -> list[str]:
        if not hasattr(own, "connection"):
            own.connection = with_vectors(connection_to(port))
        rows = own.connection.execute(NEAREST, (vector,), prepare=True, binary=True).fetchall()
        return [row[0] for row in rows]

    return nearest


if __name__ == "__main__":
    load(Path(sys.argv[2]))

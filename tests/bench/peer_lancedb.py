"""LanceDB: embedded in the API process, which is how it is meant to be used."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from peer import ApiPeer, K, documents
from peer_process import Process

TABLE = "documents"


class Lancedb(ApiPeer):
    """One process, with the index its documentation names for the best recall at low latency."""

    name = "lancedb"

    def launch(self, processes: list[Process], directory: Path, model: Path, port: int) -> None:
        processes.append(self.launch_api(directory, model, port, 0))


def load(directory: Path) -> None:
    """Write the table and its index; runs where lancedb is installed."""
    import lancedb
    import pyarrow as pa
    from lancedb.index import IvfHnswSq

    ids, vectors = documents(directory)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    table = lancedb.connect(directory / "data").create_table(
        TABLE, pa.table({"id": ids, "vector": column})
    )
    table.create_index("vector", config=IvfHnswSq(distance_type="cosine"))


def connect(directory: Path, _: int) -> Callable[[NDArray[np.float32]], list[str]]:
    """Open the table, which threads may share."""
    import lancedb

    table = lancedb.connect(directory / "data").open_table(TABLE)

    def nearest(vector: NDArray[np.float32]) -> list[str]:
        query = table.search(vector).distance_type("cosine").limit(K)
        # Without _distance each question logs a warning; with the vectors it would read them.
        found: list[str] = query.select(["id", "_distance"]).to_arrow()["id"].to_pylist()
        return found

    return nearest


if __name__ == "__main__":
    load(Path(sys.argv[2]))

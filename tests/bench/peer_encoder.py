"""The function that txtai calls with questions: askfleet's engine, opened before the first one."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.generation.engine import open_engine

# txtai takes a function and nothing else, and imports it when it starts.
ENGINE = open_engine(Path(os.environ["PEER_MODEL"]))


def encode(texts: list[str]) -> NDArray[np.float32]:
    """Unit vectors, one a row."""
    return ENGINE.encode(texts)

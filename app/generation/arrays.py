"""Arrays of a generation, read from files that may be damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import GenerationError
from app.generation.manifest import REMEDY


def read_array(path: Path, dtype: type[np.generic] | np.dtype[Any]) -> NDArray[Any]:
    """The array in a file; raises GenerationError where it is none of ``dtype``."""
    try:
        array = np.load(path, allow_pickle=False)
    except Exception as error:  # numpy reads headers as Python, and raises what their bytes mean
        raise GenerationError(f"{path} is not a readable array: {error}: {REMEDY}") from error
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        raise GenerationError(f"{path} is not an array of {np.dtype(dtype).name}: {REMEDY}")
    return array

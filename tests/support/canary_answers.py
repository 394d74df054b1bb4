"""Whether a generation, opened in this process, answers a canary as it must."""

import json

import numpy as np
from numpy.typing import NDArray

from app.generation import canary
from app.generation.canary import Canary
from app.generation.manifest import Manifest
from index_builder.replay import Replay


def weight_of(manifest: Manifest) -> float:
    rescoring = manifest.routing.rescoring
    return rescoring.weight if rescoring else 0.0


def canary_difference(
    replay: Replay,
    one: Canary,
    vector: NDArray[np.float32],
    withdrawn: frozenset[str] = frozenset(),
) -> str | None:
    """None where the answer to the question with this ``vector`` (dim,) is right."""
    texts = (one.question,) if one.lexical else ()
    wanted = json.loads(one.filter) if one.filter else None
    [hits] = replay.search(vector[None], max(len(one.ids), 1), "auto", texts, wanted).hits
    weight = weight_of(replay.manifest)
    got = canary.keys([hit.score for hit in hits], [hit.lexical for hit in hits], weight)
    return canary.difference(one, [hit.row.id for hit in hits], got, weight, withdrawn)

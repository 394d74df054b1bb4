"""The bound on what may come in the place of withdrawn documents holds, and no more comes."""

from typing import Any

import numpy as np
import pytest
from canary_answers import canary_difference, weight_of
from encoder_fakes import vector_of
from numpy.typing import NDArray
from small_generations import SmallGeneration, build_small

from app.generation import canary
from app.generation.canary import TOLERANCE, Canary
from app.generation.rows import ENDS
from app.generation.shard_index import Hits
from app.generation.withdrawn_rows import VisibleIndex
from index_builder.replay import Replay

SOME = np.random.default_rng(46)
COLOURS = ("red", "green", "blue", "grey")
KINDS = (
    "cold",
    "warm",
    "quick",
    "slow",
    "old",
    "new",
    "open",
    "shut",
    "high",
    "low",
    "near",
    "far",
)
TEXTS = sorted(
    {f"{' '.join(SOME.choice(KINDS, 3))} {one} KX-{SOME.integers(9)}" for one in COLOURS * 65}
)
DEPTH = 100


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> SmallGeneration:
    root = tmp_path_factory.mktemp("built")
    return build_small(root, TEXTS, rescore_weight=0.9, storage=1.5)


def answers(replay: Replay, one: Canary) -> dict[str, float]:
    """Keys by id, best first."""
    texts = (one.question,) if one.lexical else ()
    [hits] = replay.search(vector_of(one.question)[None], len(one.ids), "auto", texts).hits
    coverage = [hit.lexical for hit in hits]
    keys = canary.keys([hit.score for hit in hits], coverage, weight_of(replay.manifest))
    return dict(zip([hit.row.id for hit in hits], keys, strict=True))


def test_every_canary_is_answered_whatever_is_withdrawn(built: SmallGeneration) -> None:
    """One, some and most of the nearest; the bound is reached, so a lower one would be wrong."""
    replay = Replay(built.directory)
    canaries = canary.read(built.directory / canary.NAME)
    assert any(one.lexical for one in canaries)
    reached = set()
    for one in canaries:
        vector = vector_of(one.question)
        [near] = replay.search(vector[None], DEPTH, "auto").hits
        nearest = [hit.row.id for hit in near]
        for count in (1, 1, 1, 2, 3, 10, 60):
            out = frozenset(SOME.choice(nearest[:70], min(count, len(nearest)), False).tolist())
            replay.withdraw(out)
            assert canary_difference(replay, one, vector, out) is None
            last = min(one.keys(weight_of(replay.manifest)))
            found = answers(replay, one)
            better = sum(found[name] > last + TOLERANCE for name in found.keys() - set(one.ids))
            reached.add((bool(one.lexical), len(out) if better == len(out) else better))
            replay.withdraw(frozenset())
    assert (True, 1) in reached, "words bring a stranger for a withdrawn document"
    assert {better for lexical, better in reached if not lexical} <= {0}


class Lossy:
    """An index that sees more of the rows the more it is asked for."""

    count = 100

    def search(self, queries: NDArray[np.float32], k: int, *_: object) -> Hits:
        seen = [row for row in range(self.count) if row % 3 or k > 12][:k]
        rows = np.array([seen] * len(queries), np.int64)
        return Hits(rows, (1 - rows / self.count).astype(np.float32))


class Store:
    """Documents whose ids are the numbers of their rows."""

    count = 100

    def fetch(self, rows: range) -> list[bytes]:
        return [b'{"id":"%d"' % row + ENDS for row in rows]


def seen_without(*out: int) -> list[int]:
    index: Any = VisibleIndex(Lossy(), Store())  # type: ignore[arg-type]  # fakes at the seam
    index.withdraw(frozenset(map(str, out)))
    rows: list[int] = index.search(np.zeros((1, 4), np.float32), 10).rows[0].tolist()
    return rows


def test_an_index_that_sees_more_when_asked_for_more_brings_no_other_strangers() -> None:
    before = seen_without()
    assert before == [1, 2, 4, 5, 7, 8, 10, 11, 13, 14]
    assert seen_without(3, 50) == before, "none of them was found: nothing changes"
    assert seen_without(4) == [1, 2, 5, 7, 8, 10, 11, 13, 14, 15]
    assert seen_without(*before) == [15, 16, 17, 18, 19, 20, 21, 22, 23, 24]
    assert seen_without(*range(90)) == [90, 91, 92, 93, 94, 95, 96, 97, 98, 99]
    assert seen_without(*range(95)) == [95, 96, 97, 98, 99, -1, -1, -1, -1, -1]

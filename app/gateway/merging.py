"""One answer out of what the shards have sent."""

from __future__ import annotations

from itertools import chain

from app.gateway.body import SearchRequest
from app.gateway.results import QueryResult
from app.gateway.upstream import Candidates, ShardHit
from app.generation.merge import Pool, merge
from app.generation.rescoring import Rescorer

# Per shard asked: what it has by the question's place, or None when it did not answer.
Answers = dict[int, dict[int, Candidates] | None]


def leave_out(withdrawn: frozenset[str], answers: Answers) -> None:
    """Drop what shards that do not know of a withdrawal have sent."""
    if not withdrawn:
        return
    for answer in filter(None, answers.values()):
        for place, found in answer.items():
            if any(hit.id in withdrawn for hit in found.hits):
                answer[place] = found._replace(hits=visible(found.hits, withdrawn))


def visible(hits: list[ShardHit], withdrawn: frozenset[str]) -> list[ShardHit]:
    """The hits that are not withdrawn."""
    return [hit for hit in hits if hit.id not in withdrawn]


def merged(
    place: int,
    asked: list[int],
    answers: Answers,
    wanted: SearchRequest,
    rescorer: Rescorer | None,
) -> QueryResult:
    """One question's answer, of what each shard that it asked has; ``place`` is the question's.

    Without a rescorer scores alone decide.
    """
    missing = [shard for shard in asked if answers[shard] is None]
    offered = [answer[place] for shard in asked if (answer := answers[shard]) is not None]
    hits = list(chain.from_iterable(candidates.hits for candidates in offered))
    ordinals = [hit.ordinal for hit in hits]
    scores = [hit.score for hit in hits]
    if rescorer is None:
        best = merge(ordinals, scores, wanted.k)
        return QueryResult([hits[at] for at in best], asked, missing)
    for candidates in offered:
        ordinals += candidates.ordinals
        scores += candidates.scores
    coverage = [hit.lexical or 0.0 for hit in hits]
    named = [at for at, hit in enumerate(hits) if hit.named]
    # What the only shard asked sends beside its hits is the last of the best by score.
    alone = len(asked) == 1 and len(offered) == 1 and wanted.k <= rescorer.rescoring.depth
    least = next(iter(offered[0].scores), None) if alone else None
    pool = Pool(ordinals, scores, coverage, named, least)
    ranking = rescorer.rank(pool, wanted.k)
    found = [hits[at] for at in ranking.positions]
    first = found[0].text if found else ""
    confidence = rescorer.confidence(wanted.queries[place], first, pool, ranking)
    return QueryResult(found, asked, missing, confidence)

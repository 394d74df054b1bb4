"""Whether a preview may go on: the gates that failed, and the questions that weigh most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from index_builder.preview.changes import Change
from index_builder.preview.figures import Figures
from index_builder.preview.wanted import Gates, Wanted

NAMED = 5
"""Questions that are named beside a gate that failed."""
MOST_FAILED = 0.01
"""Part of the questions that the new generation alone may fail to answer; no setting raises it."""
_LENGTH = 120
# Decimals that are compared: 0.8 - 0.7 is a loss of 0.1, not of more.
_EXACT = 9


def faults(figures: Figures, changes: Sequence[Change], wanted: Wanted) -> list[str]:
    """Why the change must not go on, a sentence for each gate; empty where it may.

    ``changes`` are all questions that both answered, those that changed most first.
    """
    return list(_faults(figures, changes, wanted.gates, wanted.relevant))


def _faults(
    figures: Figures,
    changes: Sequence[Change],
    gates: Gates,
    relevant: Mapping[str, frozenset[str]],
) -> Iterator[str]:
    if figures.questions and not figures.compared:
        what = {**figures.errors[0], **figures.errors[1]}
        yield f"no question was answered by both generations: {_kinds(what)}"
        return
    if figures.newly_failed > MOST_FAILED * figures.questions:
        yield (
            f"{figures.newly_failed:,} of {figures.questions:,} questions that were answered are "
            f"not answered by the new generation: {_kinds(figures.errors[1])}"
        )
    if gates.max_changed is not None and round(figures.changed - gates.max_changed, _EXACT) > 0:
        yield (
            f"the first answer changed for {100 * figures.changed:.2f} % of the questions, more "
            f"than askfleet_preview_max_changed {100 * gates.max_changed:.2f} %"
            f"{_named(change for change in changes if change.changed)}"
        )
    if gates.min_overlap is not None and round(gates.min_overlap - figures.overlap, _EXACT) > 0:
        yield (
            f"of ten answers {100 * figures.overlap:.2f} % are the same, fewer than "
            f"askfleet_preview_min_overlap {100 * gates.min_overlap:.2f} %{_named(changes)}"
        )
    if gates.max_hit_loss is None or not relevant:
        return
    if figures.labelled is None:
        yield (
            f"askfleet_preview_max_hit_loss cannot be judged: none of the {len(relevant):,} "
            "labelled questions was answered by both generations"
        )
    else:
        hit = figures.labelled.measures[0]
        if round(hit.before - hit.after - gates.max_hit_loss, _EXACT) > 0:
            yield (
                f"hit@1 goes from {hit.before:.4f} to {hit.after:.4f} on "
                f"{figures.labelled.questions:,} labelled questions, a loss above "
                f"askfleet_preview_max_hit_loss "
                f"{gates.max_hit_loss:g}{_named(one for one in changes if _lost(one, relevant))}"
            )


def _lost(change: Change, relevant: Mapping[str, frozenset[str]]) -> bool:
    """Whether the first result was right, and is no longer."""
    right = relevant.get(change.pair.question, frozenset())
    before, after = (
        any(found.id in right for found in side.results[:1])
        for side in (change.pair.before, change.pair.after)
    )
    return before and not after


def _named(changes: Iterable[Change]) -> str:
    texts = [change.pair.question for change, _ in zip(changes, range(NAMED), strict=False)]
    shown = [text if len(text) <= _LENGTH else text[: _LENGTH - 1] + "…" for text in texts]
    return f"; most of all: {', '.join(map(repr, shown))}" if shown else ""


def _kinds(errors: dict[str, int]) -> str:
    return ", ".join(f"{kind} ({count:,})" for kind, count in errors.items())

"""What of a generation is worth a look, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from app.generation.manifest import Manifest
from index_builder.evaluate import chosen_row
from index_builder.report.figures import Figures

# A shard that is so many times another keeps its hosts busier.
UNEVEN = 1.5
POOR_INDEX = 0.99
MANY_ALIKE = 0.05
MIXED = 0.05
# How far the median score may move on the way from a base.
MOVED = 0.03


def remarks(manifest: Manifest, figures: Figures) -> list[str]:
    """A sentence each; often none."""
    return [*_routing(manifest), *_shards(manifest), *_corpus(manifest, figures)]


def _routing(manifest: Manifest) -> Iterator[str]:
    routing = manifest.routing
    row = chosen_row(routing)
    targets = (routing.target_recall_at_1, routing.target_recall_at_10)
    if row.recall_at_1 < targets[0] or row.recall_at_10 < targets[1]:
        yield (
            f"The targets of recall, {targets[0]:.1%} and {targets[1]:.1%}, are not reached: raise "
            "--storage or use --index exact."
        )


def _shards(manifest: Manifest) -> Iterator[str]:
    sizes = [shard.documents for shard in manifest.shards]
    empty = sizes.count(0)
    if empty:
        yield (
            f"{empty} of {len(sizes)} shards {'is' if empty == 1 else 'are'} empty: the corpus has "
            "too few different texts."
        )
    elif max(sizes) > UNEVEN * min(sizes):
        yield (
            f"Shards are uneven: the largest stores {max(sizes):,}, the smallest {min(sizes):,}."
        )
    poor = [shard for shard in manifest.shards if shard.documents and shard.recall < POOR_INDEX]
    for shard in poor[:3]:
        yield (
            f"The index of shard {shard.shard} alone has recall@10 {shard.recall:.3f} "
            f"({shard.index_kind})."
        )


def _corpus(manifest: Manifest, figures: Figures) -> Iterator[str]:
    reading, texts, near, base = figures.reading, figures.texts, figures.near, figures.base
    if reading is not None and (bad := sum(reading.bad.values())):
        yield f"{bad:,} bad {'line was' if bad == 1 else 'lines were'} left out."
    if reading is not None and reading.repeats:
        yield f"{reading.repeats:,} repeated texts without an id were left out."
    if manifest.withdrawn:
        yield f"{len(manifest.withdrawn):,} withdrawn documents of the corpus were left out."
    enough = MIXED * texts.guessed
    common = [code for code, count in texts.languages.items() if code and count > enough]
    if len(common) > 1:
        yield (
            "Documents seem to be in several languages: check that the model, "
            f"{manifest.model.name}, knows them all."
        )
    if near is not None and near.having > MANY_ALIKE * near.asked:
        yield (
            f"{near.having / near.asked:.0%} of the documents have one that is nearly the same: "
            "they take each other's places among the answers."
        )
    if base is not None and base.scores is not None and figures.scores is not None:
        moved = figures.scores.median - base.scores.median
        if abs(moved) > MOVED:
            yield (
                f"Questions find their best document {'nearer' if moved > 0 else 'farther away'} "
                f"than in the base: the median score is {figures.scores.median:.3f}, it was "
                f"{base.scores.median:.3f}."
            )

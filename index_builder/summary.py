"""A generation in a few lines, as a build prints it."""

from __future__ import annotations

from pathlib import Path

from app.generation.manifest import Manifest
from index_builder.evaluate import chosen_row
from index_builder.without import SHOWN


def summary(manifest: Manifest, new: bool, directory: Path, assumed: list[str]) -> str:
    """What a person wants to know of a generation, a few lines."""
    chosen = chosen_row(manifest.routing)
    text, rows = ("text", "rows") if manifest.routing.also else ("document", "documents")
    lines = [
        f"generation {manifest.id} {'sealed' if new else 'exists (same input and settings)'}",
        f"  documents  {manifest.documents:,}, stored {manifest.stored:,} "
        f"({manifest.stored / manifest.documents:.2f}x) in {len(manifest.shards)} shards, "
        f"{manifest.clusters} clusters",
        f"  model      {manifest.model.name} ({manifest.model.fingerprint}), "
        f"{manifest.model.dim}-d",
        f"  routing    asks {chosen.fan_out:.2f} shards on average: recall@1 "
        f"{chosen.recall_at_1:.4f}, recall@10 {chosen.recall_at_10:.4f} against exact search",
    ]
    lines += [
        f"  storage    {row.storage:.2f}x would ask {row.fan_out:.2f} shards, "
        f"{row.bytes_per_document:,} bytes a {text}, {row.cpu_ms:.2f} ms of CPU a question"
        for row in manifest.routing.storage
    ]
    if rescoring := manifest.routing.rescoring:
        lines.append(
            f"  words      order the best {rescoring.depth} again: score + {rescoring.weight:g} * "
            "the part of the question's words that a document has"
        )
        lines += [
            f"  weight     {row.weight:g}: the first answer is right for {row.hit_at_1:.1%} of "
            f"{rescoring.labels} labelled questions"
            for row in rescoring.measured
        ]
    if confidence := manifest.routing.confidence:
        labels = f"({confidence.labels} labels)"
        lines += [
            f"  confidence {row.min_confidence:.2f} or more is right in {row.precision:.0%}, and "
            f"lets {row.answered:.0%} of the right answers pass {labels}"
            if row.answered
            else f"  confidence no bound is right in {row.precision:.0%} {labels}"
            for row in confidence.table
        ]
    if also := manifest.routing.also:
        answers = also.texts - manifest.documents
        size = sum(shard.memory_bytes for shard in manifest.shards)
        lines.append(
            f"  answers    searched too: {answers:,} beside {manifest.documents:,} questions; "
            f"{also.stored:,} of {manifest.stored:,} rows, {also.stored_bytes / 1e6:.1f} of "
            f"{size / 1e6:.1f} MB"
        )
        if also.labels:
            before, now = also.hit_at_1
            lines.append(
                f"  gain       of {also.labels} labelled questions the first answer is right for "
                f"{before:.1%} by questions alone, {now:.1%} with answers"
            )
    if filters := manifest.routing.filters:
        fields = ", ".join(f"{field.name} ({field.kind})" for field in filters.fields)
        lines.append(f"  filters    {fields}")
        lines += [
            f"  filter     {row.filter}: {row.documents:,} documents, asks {row.fan_out:.2f} "
            f"shards, recall@1 {row.recall_at_1:.4f}, recall@10 {row.recall_at_10:.4f}"
            for row in filters.table
        ]
    if gone := manifest.withdrawn:
        more = ", …" if len(gone) > SHOWN else ""
        lines.append(
            f"  withdrawn  {len(gone):,} documents of the corpus left out: "
            f"{', '.join(gone[:SHOWN])}{more}"
        )
    lines += [f"  corpus     {line}" for line in assumed]
    lines += [
        f"  shard {shard.shard:<4} {shard.documents:,} {rows}, {shard.index_kind}, "
        f"recall@10 {shard.recall:.4f}, {shard.memory_bytes / 1e6:.1f} MB"
        for shard in manifest.shards
    ]
    targets = (manifest.routing.target_recall_at_1, manifest.routing.target_recall_at_10)
    if chosen.recall_at_1 < targets[0] or chosen.recall_at_10 < targets[1]:
        lines.append(
            f"  warning    the targets {targets[0]} and {targets[1]} are not reached: "
            "raise --storage or use --index exact"
        )
    lines.append(f"  directory  {directory}")
    return "\n".join(lines)

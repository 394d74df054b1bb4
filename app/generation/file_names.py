"""Names of the files of a generation, as its manifest lists them."""

from __future__ import annotations

WEIGHTS, SHARDS_BY_NAME = "routing/trigram_weights.npy", "routing/names.npy"
WORDS, ROWS_BY_NAME = ("ordinals.npy", "trigram_counts.npy", "trigrams.npy"), "names.npy"
"""What gateways and shards need for rescoring beside the rest, where a generation has it."""
FILTER_COUNTS, FILTER_VALUES = "routing/filter_counts.npy", "routing/filter_values.json"
CLUSTER_SIZES = "routing/cluster_sizes.npy"
"""What gateways need for filters."""


def shard_dir(shard: int) -> str:
    """Name of a shard's directory in a generation, e.g. ``shard-003``."""
    return f"shard-{shard:03d}"


def filter_files(field: int) -> tuple[str, str]:
    """A shard's files for a field by its place: values, and how many each row has."""
    return f"filter-{field}-values.npy", f"filter-{field}-counts.npy"

"""The bench's table, and the ratios that count."""

from __future__ import annotations

COLUMNS = (
    ("p50@1", "ms, 1 client", 14, "{:.1f}"),
    ("p99@1", "p99", 8, "{:.1f}"),
    ("q/s@8", "q/s, 8", 9, "{:.0f}"),
    ("cpu_ms@8", "CPU ms, 8", 11, "{:.2f}"),
    ("q/s@32", "q/s, 32", 9, "{:.0f}"),
    ("cpu_ms@32", "CPU ms, 32", 12, "{:.2f}"),
    ("MB", "MB", 8, "{:.0f}"),
    ("recall@10", "recall@10", 11, "{:.4f}"),
)


def print_table(rows: dict[str, dict[str, float]]) -> None:
    """Print a row a system."""
    print(f"{'':<14}" + "".join(f"{title:>{width}}" for _, title, width, _ in COLUMNS))
    for name, row in rows.items():
        cells = (form.format(row[key]).rjust(width) for key, _, width, form in COLUMNS)
        print(f"{name:<14}" + "".join(cells))

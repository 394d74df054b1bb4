"""The bench's tables, and the ratios that count."""

from __future__ import annotations

COLUMNS = (
    ("p50@1", "p50 ms, 1", 11, "{:.1f}"),
    ("p99@1", "p99", 8, "{:.1f}"),
    ("q/s@8", "q/s, 8", 9, "{:.0f}"),
    ("cpu_ms@8", "CPU ms, 8", 11, "{:.2f}"),
    ("q/s@32", "q/s, 32", 9, "{:.0f}"),
    ("cpu_ms@32", "CPU ms, 32", 12, "{:.2f}"),
    ("MB", "MB", 8, "{:.0f}"),
    ("ready", "ready s", 9, "{:.1f}"),
    ("recall@10", "recall@10", 11, "{:.4f}"),
)
Numbers = dict[str, float]


def print_table(rows: dict[str, Numbers], parts: Numbers, by_part: dict[str, Numbers]) -> None:
    """Print a row a system, the parts, and where a question's time goes."""
    print(f"\n{'clients: 1, 8, 32':<22}" + "".join(f"{t:>{width}}" for _, t, width, _ in COLUMNS))
    for name, row in rows.items():
        cells = (form.format(row[key]).rjust(width) for key, _, width, form in COLUMNS)
        print(f"{name:<22}" + "".join(cells))
    for name, processes in by_part.items():
        told = ", ".join(f"{part} {ms:.2f}" for part, ms in processes.items())
        print(f"CPU ms of a question at 8 clients, {name}: {told}")
    for name, value in parts.items():
        print(f"{name:<48}{value:>8.3f}" + " ms")

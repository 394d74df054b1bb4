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
CPU_RATIO = "CPU per question at 8 clients, reference / this"
ENCODE = "encode, the artefact's engine"
Numbers = dict[str, float]


def print_table(rows: dict[str, Numbers], parts: Numbers, by_part: dict[str, Numbers]) -> None:
    """Print a row a system, the parts, where a question's time goes, and the ratios."""
    print(f"\n{'clients: 1, 8, 32':<18}" + "".join(f"{t:>{width}}" for _, t, width, _ in COLUMNS))
    for name, row in rows.items():
        cells = (form.format(row[key]).rjust(width) for key, _, width, form in COLUMNS)
        print(f"{name:<18}" + "".join(cells))
    for name, processes in by_part.items():
        told = ", ".join(f"{part} {ms:.2f}" for part, ms in processes.items())
        print(f"CPU ms of a question at 8 clients, {name}: {told}")
    for name, value in parts.items():
        print(f"{name:<48}{value:>8.3f}" + " ms")
    for name, ratio in ratios(rows, parts, by_part).items():
        print(f"{name:<72}{ratio:>8.2f}")


def ratios(rows: dict[str, Numbers], parts: Numbers, by_part: dict[str, Numbers]) -> Numbers:
    """What issue and documentation promise, as far as this run has it."""
    own, reference = rows.get("askfleet"), rows.get("reference")
    found: Numbers = {}
    if own and reference:
        found["questions/s at 8 clients, this / reference"] = own["q/s@8"] / reference["q/s@8"]
        found["p50 at 1 client, reference / this"] = reference["p50@1"] / own["p50@1"]
        found[CPU_RATIO] = reference["cpu_ms@8"] / own["cpu_ms@8"]
    peers = {n: row["cpu_ms@8"] for n, row in rows.items() if n not in {"askfleet", "reference"}}
    if own and peers:
        best = min(peers, key=lambda name: peers[name])
        found[f"CPU per question at 8 clients, best peer ({best}) / this"] = (
            peers[best] / own["cpu_ms@8"]
        )
    if own and parts:
        found["CPU of the gateway's process / the encoder's forward pass"] = (
            by_part["askfleet"]["gateway"] / parts[ENCODE]
        )
    return found

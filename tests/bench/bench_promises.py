"""What the figures are wanted to be, and whether they are."""

from __future__ import annotations

from bench_table import Numbers

OWN, REFERENCE, AFTERNOON = "askfleet", "reference", "afternoon"
# Rows with the batching encoder show whose gain is whose, and are no peers of what is promised.
APART = {OWN, REFERENCE, AFTERNOON}
Promise = tuple[str, list[float], list[float], bool]
"""Name, figures, what is wanted of each, and whether that is the most instead of the least."""


def cpu_ratio(rows: dict[str, Numbers], other: str, clients: int = 8) -> float:
    """CPU of a question, another system over this; 0 where one of them was not measured."""
    if not {OWN, other} <= rows.keys():
        return 0.0
    return rows[other][f"cpu_ms@{clients}"] / rows[OWN][f"cpu_ms@{clients}"]


def promises(rows: dict[str, Numbers], by_part: dict[str, Numbers]) -> list[Promise]:
    """As many as this run has the rows for."""
    own = rows.get(OWN)
    if own is None:
        return []
    found: list[Promise] = []
    for peer, wanted in (("txtai", [1.2, 1.5]), ("pgvector", [1.5, 2.0]), (AFTERNOON, [1.0, 1.0])):
        if peer in rows:
            seen = [cpu_ratio(rows, peer, clients) for clients in (8, 32)]
            found.append((f"CPU a question at 8; 32 clients, {peer} / this", seen, wanted, False))
    peers = [name for name in rows if name not in APART and "batching" not in name]
    if peers:
        seen = [own[key] / max(rows[name][key] for name in peers) for key in ("q/s@8", "q/s@32")]
        found.append(("questions/s at 8; 32, this / best peer", seen, [1.2, 1.5], False))
    if reference := rows.get(REFERENCE):
        seen = [own["q/s@8"] / reference["q/s@8"]]
        found.append(("questions/s at 8, this / reference", seen, [6.0], False))
    if pgvector := rows.get("pgvector"):
        keys = ("p50@1", "p99@1")
        seen, wanted = ([row[key] for key in keys] for row in (own, pgvector))
        found.append(("p50; p99 ms at 1 client; wanted is pgvector's", seen, wanted, True))
    found.append(("recall@10", [own["recall@10"]], [0.99], False))
    parts = by_part[OWN]
    rest = 1 - parts["encoder"] / sum(parts.values())
    found.append(("CPU of all but encoding, of the whole, at 8", [rest], [1 / 3], True))
    return found


def print_promises(found: list[Promise]) -> None:
    """Print a line for each: name, figures, what is wanted, and ok or missed."""
    print(f"\n{'':<54}{'figure':>14}{'wanted':>16}")
    for name, figures, wanted, most in found:
        pairs = zip(figures, wanted, strict=True)
        kept = all(figure <= limit if most else figure >= limit for figure, limit in pairs)
        seen, limits = ("; ".join(f"{value:.2f}" for value in row) for row in (figures, wanted))
        sign = "<=" if most else ">="
        print(f"{name:<54}{seen:>14}{sign:>4}{limits:>12}  {'ok' if kept else 'missed'}")

"""`make bench`: this system, the course project's shape and its peers, in one run."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from itertools import islice
from pathlib import Path

from askfleet_stack import OFFSET, Askfleet
from bench_chart import draw
from bench_data import Data, load
from bench_measure import CLIENTS, Subject
from bench_parts import ceiling, encoding, hops, searching
from bench_system import REPO, System
from bench_table import CPU_RATIO, print_table, ratios
from peer import Peer
from peer_chroma import Chroma
from peer_lancedb import Lancedb
from peer_pgvector import Pgvector
from peer_system import PeerSystem
from peer_txtai import Txtai
from reference import MODEL, Reference

from app.generation.manifest import Manifest
from index_builder.publish.reference import open_reference
from index_builder.publish.source import resolve


def first(corpus: Path, count: int, work: Path) -> Path:
    """A file with the first documents of the corpus."""
    work.mkdir(parents=True, exist_ok=True)
    target = work / f"first-{count}{corpus.suffix}"
    with corpus.open(encoding="utf-8") as lines, target.open("w", encoding="utf-8") as chosen:
        chosen.writelines(islice(lines, count))
    return target


def systems(work: Path, python: Path | None, cache: Path) -> list[System]:
    """All that are compared; ``python`` has the peers' packages."""
    peers: list[tuple[type[Peer], str]] = [
        (Chroma, "API process, Chroma server by its HTTP client"),
        (Pgvector, "API process, PostgreSQL with pgvector (HNSW) by psycopg"),
        (Lancedb, "API process with LanceDB in it (IVF_HNSW_SQ)"),
        (Txtai, "txtai's own API with its index in it"),
    ]
    return [
        Askfleet(work / "askfleet", 29080),
        Reference(work / "reference", 29100, cache),
        *(
            PeerSystem(peer(python), told, work / peer.name, 29200 + place)
            for place, (peer, told) in enumerate(peers)
            if python
        ),
    ]


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=REPO / "bench")
    parser.add_argument("--work", type=Path, default=REPO / "var/bench")
    parser.add_argument("--peers", type=Path, help="python with their packages; else without them")
    parser.add_argument("--limit", type=int, default=0, help="take so many documents; 0: all")
    parser.add_argument(
        "--require", type=float, default=0.0, help="fail below this CPU ratio, reference / this"
    )
    parser.add_argument("--cache", type=Path, default=REPO / "var/cache", help="of wheels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load")
    parser.add_argument("--only", default="", help="systems, by name, with commas")
    arguments = parser.parse_args()
    work: Path = arguments.work.resolve()  # what is started runs in directories of its own
    corpus = first(arguments.corpus, arguments.limit, work) if arguments.limit else arguments.corpus
    data = load(corpus, arguments.model, work / "work", os.cpu_count() or 1)
    print(f"{len(data.ids):,} documents, {len(data.questions):,} questions", flush=True)
    wanted = [name for name in arguments.only.split(",") if name]
    subjects = [
        Subject(one, data, arguments.rounds)
        for one in systems(work, arguments.peers, arguments.cache)
        if not wanted or one.name in wanted
    ]
    started: list[System] = []
    try:
        for subject in subjects:
            print(f"starting {subject.system.name}: {subject.system.told}", flush=True)
            subject.system.prepare(data)
            started.append(subject.system)
            subject.start()
            subject.check()
        begun = time.monotonic()
        for number in range(arguments.rounds):
            for subject in subjects:
                for clients in CLIENTS:
                    subject.round(clients, arguments.seconds)
            spent = time.monotonic() - begun
            left = spent / (number + 1) * (arguments.rounds - number - 1)
            print(f"round {number + 1} of {arguments.rounds}, {left:.0f} s left", flush=True)
        for subject in subjects:
            if isinstance(fleet := subject.system, Askfleet):
                # Its start was a play; what counts is the slowest of its services.
                subject.seen.ready = max(
                    map(fleet.ready_seconds, ("encoder", "shard-0", "gateway"))
                )
        parts = measure_parts(data, subjects, arguments.cache)
    finally:
        for system in started:
            system.stop()
    rows = {subject.system.name: subject.seen.row() for subject in subjects}
    by_part = {subject.system.name: subject.seen.by_part() for subject in subjects}
    print_table(rows, parts, by_part)
    arguments.out.mkdir(parents=True, exist_ok=True)
    target = arguments.out / f"bench-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    told = {
        "documents": len(data.ids),
        "model": data.model.name,
        "rounds": arguments.rounds,
        "rows": rows,
        "cpu_ms_by_process": by_part,
        "parts": parts,
    }
    target.write_text(json.dumps(told, indent=1), encoding="utf-8")
    draw(told, target.with_suffix(".png"))
    print(f"written to {target} and {target.with_suffix('.png')}")
    ratio = ratios(rows, parts, by_part).get(CPU_RATIO, 0.0)
    if ratio < arguments.require:
        print(f"{CPU_RATIO} is {ratio:.2f}, less than {arguments.require}", file=sys.stderr)
        return 1
    return 0


def measure_parts(data: Data, subjects: list[Subject], cache: Path) -> dict[str, float]:
    """The parts of a question, where askfleet is among what runs."""
    for subject in subjects:
        if isinstance(fleet := subject.system, Askfleet):
            manifest = Manifest.load(fleet.generation)
            reference = open_reference(resolve(MODEL, revision=None, cache=cache))
            return {
                **encoding(data, reference),
                **ceiling(data),
                **searching(data, fleet.generation),
                **hops(
                    7200 + OFFSET,
                    manifest.id,
                    manifest.model.fingerprint,
                    manifest.model.dim,
                    fleet.roots()["shard-0"][0],
                ),
            }
    return {}


if __name__ == "__main__":
    raise SystemExit(main())

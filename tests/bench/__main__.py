"""`make bench`: this system, the course project's shape and its peers, in one run."""

from __future__ import annotations

import argparse
import json
import os
import time
from itertools import islice
from pathlib import Path

from askfleet_stack import OFFSET, Askfleet
from bench_chart import draw
from bench_compared import systems
from bench_data import Data, load
from bench_measure import CLIENTS, Subject
from bench_parts import ceiling, encoding, hops, searching
from bench_promises import AFTERNOON, REFERENCE, cpu_ratio, print_promises, promises
from bench_system import REPO, System
from bench_table import print_table
from reference import MODEL

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


def names(text: str) -> list[str]:
    """An argparse type."""
    return [name for name in text.split(",") if name]


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=REPO / "bench")
    parser.add_argument("--work", type=Path, default=REPO / "var/bench")
    parser.add_argument("--peers", type=Path, help="python with their packages; else without them")
    parser.add_argument("--limit", type=int, default=0, help="take so many documents; 0: all")
    for other in (REFERENCE, AFTERNOON):
        parser.add_argument(
            f"--require-{other}",
            type=float,
            default=0.0,
            help=f"fail below this ratio of CPU a question at 8 clients, {other} / this",
        )
    parser.add_argument("--cache", type=Path, default=REPO / "var/cache", help="of wheels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load")
    parser.add_argument("--only", type=names, default=[], help="systems, by name, with commas")
    parser.add_argument(
        "--batching", type=names, default=[], help="peers to ask with a batching encoder as well"
    )
    arguments = parser.parse_args()
    work: Path = arguments.work.resolve()  # what is started runs in directories of its own
    corpus = first(arguments.corpus, arguments.limit, work) if arguments.limit else arguments.corpus
    data = load(corpus, arguments.model, work / "work", os.cpu_count() or 1)
    print(f"{len(data.ids):,} documents, {len(data.questions):,} questions", flush=True)
    compared = systems(work, arguments.peers, arguments.cache, arguments.batching)
    subjects = [
        Subject(one, data, arguments.rounds)
        for one in compared
        if not arguments.only or one.name.partition(",")[0] in arguments.only
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
        "promises": promises(rows, by_part),
    }
    target.write_text(json.dumps(told, indent=1), encoding="utf-8")
    draw(told, target.with_suffix(".png"))
    print(f"written to {target} and {target.with_suffix('.png')}")
    print_promises(promises(rows, by_part))
    failed = False
    for other in (REFERENCE, AFTERNOON):
        ratio, least = cpu_ratio(rows, other), getattr(arguments, f"require_{other}")
        if least:
            failed |= ratio < least
            print(f"CPU a question at 8 clients, {other} / this: {ratio:.2f}, required {least}")
    return int(failed)


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

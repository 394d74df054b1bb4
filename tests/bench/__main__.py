"""`make bench`: this system, the course project's shape and its peers, in one run."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

from askfleet_stack import Askfleet
from bench_data import load
from bench_measure import CLIENTS, Subject
from bench_system import REPO, System
from bench_table import print_table
from reference import Reference


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=REPO / "bench")
    parser.add_argument("--work", type=Path, default=REPO / "var/bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load")
    parser.add_argument("--only", default="", help="systems, by name, with commas")
    arguments = parser.parse_args()
    work: Path = arguments.work
    data = load(arguments.corpus, arguments.model, work / "work", os.cpu_count() or 1)
    print(f"{len(data.ids):,} documents, {len(data.questions):,} questions", flush=True)
    systems: list[System] = [
        Askfleet(work / "askfleet", 29080),
        Reference(work / "reference", 29100, REPO / "var/cache"),
    ]
    wanted = [name for name in arguments.only.split(",") if name]
    subjects = [Subject(one, data) for one in systems if not wanted or one.name in wanted]
    started: list[System] = []
    try:
        for subject in subjects:
            print(f"starting {subject.system.name}: {subject.system.told}", flush=True)
            subject.system.prepare(data)
            started.append(subject.system)
            subject.system.start()
            subject.check()
        begun = time.monotonic()
        for number in range(arguments.rounds):
            for subject in subjects:
                for clients in CLIENTS:
                    subject.round(clients, arguments.seconds)
            spent = time.monotonic() - begun
            left = spent / (number + 1) * (arguments.rounds - number - 1)
            print(f"round {number + 1} of {arguments.rounds}, {left:.0f} s left", flush=True)
    finally:
        for system in started:
            system.stop()
    rows = {subject.system.name: subject.seen.row() for subject in subjects}
    print_table(rows)
    arguments.out.mkdir(parents=True, exist_ok=True)
    target = arguments.out / f"bench-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    parts = {subject.system.name: subject.seen.cpu_ms_by_part for subject in subjects}
    target.write_text(json.dumps({"rows": rows, "parts": parts}, indent=1), encoding="utf-8")
    print(f"written to {target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

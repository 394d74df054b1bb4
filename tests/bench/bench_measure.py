"""One system under one load: latency, throughput, CPU, memory, recall."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from bench_data import CHECKED, Data
from bench_processes import cpu_seconds, megabytes
from bench_system import HERE, System

CLIENTS = (1, 8, 32)


@dataclass
class Seen:
    """What was measured of one system, a value a round."""

    milliseconds: dict[int, dict[str, list[float]]] = field(
        default_factory=lambda: {n: {"p50": [], "p99": []} for n in CLIENTS}
    )
    per_second: dict[int, list[float]] = field(default_factory=lambda: {n: [] for n in CLIENTS})
    cpu_ms: dict[int, list[float]] = field(default_factory=lambda: {n: [] for n in CLIENTS})
    cpu_ms_by_part: list[dict[str, float]] = field(default_factory=list)
    megabytes: float = 0.0
    recall: float = 0.0
    ready: float = 0.0

    def by_part(self) -> dict[str, float]:
        """Medians of the CPU ms of a question at 8 clients, by part."""
        parts = self.cpu_ms_by_part[0] if self.cpu_ms_by_part else {}
        return {part: median(one[part] for one in self.cpu_ms_by_part) for part in parts}

    def row(self) -> dict[str, float]:
        """Medians over the rounds."""
        row = {"recall@10": self.recall, "MB": self.megabytes, "ready": self.ready}
        for clients in CLIENTS:
            row |= {
                f"{name}@{clients}": median(values)
                for name, values in self.milliseconds[clients].items()
            }
            row[f"q/s@{clients}"] = median(self.per_second[clients])
            row[f"cpu_ms@{clients}"] = median(self.cpu_ms[clients])
        return row


class Subject:
    """A system that runs, and what was seen of it.

    No question is asked twice: the second time a cache would answer, and on a fast machine that
    would be all that is measured. So each round has its share of them, and may end before its time.
    """

    def __init__(self, system: System, data: Data, rounds: int) -> None:
        self.system = system
        self.seen = Seen()
        self._data = data
        self._asked = 0
        self._share = (len(data.questions) - CHECKED) // (rounds * len(CLIENTS))
        if self._share < max(CLIENTS):
            raise ValueError(f"{len(data.questions):,} questions are too few for {rounds} rounds")

    def start(self) -> None:
        """Start it, and keep how long that took."""
        begun = time.monotonic()
        self.system.start()
        self.seen.ready = time.monotonic() - begun

    def check(self) -> None:
        """Recall@10 against exact search; this also warms the system up."""
        answers = self._load(4, 300.0, CHECKED, keep=True)["bodies"]
        found = 0
        for number, body in answers.items():
            right = self._data.truth[int(number)]
            found += len(right & set(self.system.ids(body.encode())))
        self.seen.recall = found / sum(map(len, self._data.truth))

    def round(self, clients: int, seconds: float) -> None:
        """Ask for so long, and keep what that shows."""
        roots = self.system.roots()
        before = {part: cpu_seconds(pids) for part, pids in roots.items()}
        told = self._load(clients, seconds, self._share)
        used = {part: cpu_seconds(pids) - before[part] for part, pids in roots.items()}
        latencies = np.array(told["latencies"]) * 1e3
        count = len(latencies)
        for name, share in (("p50", 50), ("p99", 99)):
            self.seen.milliseconds[clients][name].append(float(np.percentile(latencies, share)))
        self.seen.per_second[clients].append(count / told["seconds"])
        self.seen.cpu_ms[clients].append(sum(used.values()) / count * 1e3)
        if clients == 8:
            self.seen.cpu_ms_by_part.append({p: s / count * 1e3 for p, s in used.items()})
        self.seen.megabytes = megabytes([pid for pids in roots.values() for pid in pids])

    def _load(
        self, clients: int, seconds: float, count: int, *, keep: bool = False
    ) -> dict[str, object]:
        """Run the load: the next so many questions."""
        chosen = self._data.questions[self._asked : self._asked + count]
        # What is checked is compared with exact search, which knows no words.
        by_score = getattr(self.system, "request_by_score", self.system.request)
        asked = [(by_score if keep else self.system.request)(question) for question in chosen]
        job = {
            "port": self.system.port,
            "requests": [(one.method, one.path, one.body.decode(), one.headers) for one in asked],
            "clients": clients,
            "seconds": seconds,
            "keep": keep,
        }
        done = subprocess.run(
            [sys.executable, HERE / "bench_load.py"],
            input=json.dumps(job).encode(),
            capture_output=True,
            check=True,
        )
        told = json.loads(done.stdout)
        if told["failed"]:
            raise RuntimeError(
                f"{self.system.name}: {len(told['failed'])} of {len(told['latencies'])} requests "
                f"failed: {told['failed'][0]}"
            )
        self._asked += len(told["latencies"])
        return dict(told)
